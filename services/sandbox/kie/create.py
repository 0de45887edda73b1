"""`POST /api/v1/jobs/createTask` and `POST /api/v1/veo/generate`."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.kie import read, wire
from services.sandbox.kie.limits import Limits
from services.sandbox.kie.models import check_input, image_urls, schemas
from services.sandbox.kie.prices import price
from services.sandbox.kie.results import take_in
from services.sandbox.kie.studio import Studio, new_task_id
from services.sandbox.kie.tasks import Task
from services.sandbox.kie.wire import KieError, answer, bearer, failure, json_object, origin, success
from services.sandbox.knobs import Knobs, knobs

_URL_LENGTH_MAX = 2048
_VEO_MODELS = ("veo3", "veo3_fast", "veo3_lite")
_VEO_OPTIONS = {
    "generationType": ("TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"),
    "aspect_ratio": ("16:9", "9:16", "Auto"),
    "resolution": ("720p", "1080p", "4k"),
}


def routes(ctx: Context) -> list[web.RouteDef]:
    async def create_task(request: web.Request) -> web.StreamResponse:
        return await _create(ctx, request, "market")

    async def generate_veo(request: web.Request) -> web.StreamResponse:
        return await _create(ctx, request, "veo")

    return [web.post("/api/v1/jobs/createTask", create_task), web.post("/api/v1/veo/generate", generate_veo)]


async def _create(ctx: Context, request: web.Request, family: str) -> web.StreamResponse:
    settings = knobs(ctx)
    if settings.latency_seconds:
        await asyncio.sleep(settings.latency_seconds)
    try:
        draft = await _checked(ctx, request, family, settings)
    except KieError as error:
        # Of all errors only this one is documented with an HTTP status of its own.
        status = 429 if error.code == 429 else None
        return answer(failure(error.code, error.msg), settings, status)
    words = {"key": draft.key, "model": draft.model, "callback": draft.callback, "prompt": draft.prompt}
    fault = ctx.faults.take("kie", "createTask", **words)
    good = success({"taskId": draft.id})
    if fault is not None and read.is_call_fault(fault) and not read.accepts(fault):
        return await read.act(request, fault, settings, good)
    if draft.cost > knobs(ctx).balance:
        return answer(failure(402, wire.NO_BALANCE), settings)
    studio = ctx.part(Studio, Studio)
    task = studio.accept(draft, fault)
    if task.callback and task.callback_fault == "callback_before_answer":
        await studio.finish_now(task)
    if fault is not None and read.is_call_fault(fault):
        return await read.act(request, fault, settings, good)
    return answer(good, settings)


async def _checked(ctx: Context, request: web.Request, family: str, settings: Knobs) -> Task:
    """The task as asked for. Raises KieError for the first thing that is wrong with it."""
    key = bearer(request)
    if key is None:
        raise KieError(401, wire.NO_ACCESS)
    ctx.part(Limits, Limits).check("create", key, settings.rate_limit, settings.rate_window_seconds)
    body = await json_object(request)
    model, given, pictures = _veo_input(body) if family == "veo" else _market_input(body)
    if model in settings.paused_models:
        raise KieError(500, wire.PAUSED)
    if family == "market":
        check_input(model, given)
        pictures = image_urls(given)
    photo = await take_in(ctx, request, pictures)
    now_ms = int(ctx.clock.now() * 1000)
    return Task(
        id=new_task_id(family),
        family="veo" if family == "veo" else "market",
        model=model,
        key=key,
        body=body,
        callback=_callback(body),
        origin=origin(request),
        photo=photo,
        small=settings.small_videos or settings.render_seconds == 0,
        created_ms=now_ms,
        due_ms=now_ms + int(settings.render_seconds * 1000),
        cost=price(model, given, settings),
    )


def _market_input(body: dict[str, Any]) -> tuple[str, dict[str, Any], list[str]]:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise KieError(500, "model is required")
    if model not in schemas():
        raise KieError(422, wire.UNKNOWN_MODEL)
    given = body.get("input")
    return model, given if isinstance(given, dict) else {}, []


def _veo_input(body: dict[str, Any]) -> tuple[str, dict[str, Any], list[str]]:
    model = body.get("model", "veo3_fast")
    if model not in _VEO_MODELS:
        raise KieError(422, wire.UNKNOWN_MODEL)
    if not isinstance(body.get("prompt"), str) or not body["prompt"]:
        raise KieError(400, "prompt is required")
    for name, options in _VEO_OPTIONS.items():
        if body.get(name, options[0]) not in options:
            raise KieError(422, "Ratio error" if name == "aspect_ratio" else f"{name} is not supported")
    pictures = body.get("imageUrls") or []
    if not isinstance(pictures, list) or not all(isinstance(url, str) for url in pictures):
        raise KieError(400, "imageUrls must be a list of URLs")
    if len(pictures) > (3 if body.get("generationType") == "REFERENCE_2_VIDEO" else 2):
        raise KieError(400, "imageUrls has too many items")
    return model, body, pictures


def _callback(body: dict[str, Any]) -> str:
    url = body.get("callBackUrl")
    if url is None or url == "":
        return ""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > _URL_LENGTH_MAX:
        raise KieError(422, "callBackUrl must be a valid http(s) URL")
    return url
