"""Sandbox of OpenAI: structured answers, moderation, models, errors."""

from __future__ import annotations

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.openai import chat, errors, moderations
from services.sandbox.openai.models import MODELS, listed

__all__ = ["routes"]


def routes(ctx: Context) -> list[web.RouteDef]:
    """Paths without the prefix; the base URL for clients is `<sandbox>/openai/v1`."""

    async def list_models(request: web.Request) -> web.StreamResponse:
        refused = await errors.refused(ctx, request, "models")
        if isinstance(refused, web.Response):
            return refused
        return errors.good({"object": "list", "data": [listed(name) for name in MODELS]})

    async def one_model(request: web.Request) -> web.StreamResponse:
        name = request.match_info["model"]
        refused = await errors.refused(ctx, request, "models", model=name)
        if isinstance(refused, web.Response):
            return refused
        if name not in MODELS:
            text = f"The model '{name}' does not exist"
            return errors.error(404, text, "invalid_request_error", "model_not_found", "model")
        return errors.good(listed(name))

    async def unknown(request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/openai")
        text = f"Invalid URL ({request.method} {path})"
        return errors.error(404, text, "invalid_request_error")

    return [
        *chat.routes(ctx),
        *moderations.routes(ctx),
        web.get("/v1/models", list_models),
        web.get("/v1/models/{model}", one_model),
        web.route("*", "/{unknown:.*}", unknown),
    ]
