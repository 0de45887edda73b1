"""KIE.AI as it is on the wire: tasks that take time, files, callbacks, a balance, and its ways to fail."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.kie import create, read, results, uploads
from services.sandbox.kie.callbacks import deliveries
from services.sandbox.kie.results import LEAK_KIND
from services.sandbox.kie.studio import Studio, words_of
from services.sandbox.kie.tasks import TASK_KIND, Task
from services.sandbox.knobs import knobs

__all__ = ["book", "routes"]


def routes(ctx: Context) -> list[web.RouteDef]:
    """The API and the upload host, on paths that do not overlap; without the prefix."""
    studio = ctx.part(Studio, Studio)
    ctx.on_start(studio.resume)

    async def unknown(request: web.Request) -> web.Response:
        # Not the provider's envelope: its framework answers wrong paths itself.
        now = datetime.datetime.fromtimestamp(ctx.clock.now(), datetime.UTC)
        path = request.path.removeprefix("/kie")
        body = {"timestamp": now.isoformat(), "status": 404, "error": "Not Found", "path": path}
        return web.json_response(body, status=404)

    known = [*create.routes(ctx), *read.routes(ctx), *results.routes(ctx), *uploads.routes(ctx)]
    return [*known, web.route("*", "/{unknown:.*}", unknown)]


def book(ctx: Context) -> dict[str, Any]:
    """Every task ever accepted, oldest first, with its callbacks: the proof that nothing was asked twice."""
    callbacks = deliveries(ctx)
    tasks = [words_of(msgspec.convert(doc, Task)) for _, doc in ctx.store.all(TASK_KIND)]
    for task in tasks:
        task["callbacks"] = callbacks.get(task["taskId"], [])
    return {
        "tasks": tasks,
        "balance": knobs(ctx).balance,
        "token_leaks": [doc["url"] for _, doc in ctx.store.all(LEAK_KIND)],
    }
