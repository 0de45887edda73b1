"""KIE's routes: createTask, recordInfo, balance, what is told of models, finished videos."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from services.sandbox.app import Context, bearer
from services.sandbox.kie import answers
from services.sandbox.kie.answers import KieError, Limits, answer, failure, origin, spoiled, success
from services.sandbox.kie.models import check_input, image_urls, openapi, price, schemas
from services.sandbox.kie.studio import Studio
from services.sandbox.kie.tasks import Task, load, record, words
from services.sandbox.kie.uploads import take_in
from services.sandbox.knobs import Knobs, knobs

_URL_LENGTH_MAX = 2048
_MIME = "video/mp4"
_RESULT_LIFE_S = 86_400.0
_HUGE_DEFAULT_MB = 60
_CHUNK = bytes(256 * 1024)
_NO_SUCH_KEY = "<Error><Code>NoSuchKey</Code></Error>"
_NOT_A_VIDEO = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"

Call = Callable[[web.Request, Knobs], Coroutine[Any, Any, web.StreamResponse]]


def routes(ctx: Context) -> list[web.RouteDef]:
    api = _Api(ctx)
    return [
        web.post("/api/v1/jobs/createTask", api.enveloped(api.create_task)),
        web.get("/api/v1/jobs/recordInfo", api.enveloped(api.record_info)),
        web.get("/api/v1/chat/credit", api.enveloped(api.credit)),
        web.get("/api/v1/models/{model:.+}/success-rate", api.enveloped(api.success_rate)),
        web.get("/api/v1/models/{model:.+}/price", api.enveloped(api.price_of)),
        web.get("/api/v1/models/{model:.+}/schema", api.enveloped(api.schema_of)),
        web.get("/v/{task_id}.mp4", api.video),
    ]


class _Api:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def enveloped(self, call: Call) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            settings = knobs(self._ctx)
            try:
                if bearer(request) in settings.keys_revoked:
                    raise KieError(401, answers.NO_ACCESS)
                return await call(request, settings)
            except KieError as error:
                # Of all errors only this one is documented with an HTTP status of its own.
                status = 429 if error.code == 429 else None
                return answer(failure(error.code, error.msg), settings, status)

        return handle

    async def create_task(self, request: web.Request, settings: Knobs) -> web.StreamResponse:
        if settings.latency_seconds:
            await asyncio.sleep(settings.latency_seconds)
        draft = await self._draft(request, settings)
        fault = self._ctx.faults.take("kie", "createTask", **words(draft))
        good = success({"taskId": draft.id})
        spoils = answers.spoils_the_call(fault)
        if fault is not None and spoils and not answers.makes_a_task(fault):
            return await spoiled(request, fault, settings, good)
        if draft.cost > knobs(self._ctx).balance:
            raise KieError(402, answers.NO_BALANCE)
        studio = self._ctx.part(Studio, Studio)
        task = studio.accept(draft, fault)
        if task.callback and task.callback_fault == "callback_before_answer":
            await studio.finish_now(task)
        return await spoiled(request, fault if spoils else None, settings, good)

    async def _draft(self, request: web.Request, settings: Knobs) -> Task:
        """Raises KieError for the first thing that is wrong."""
        key = _key(request)
        self._ctx.part(Limits, Limits).check(key, settings.rate_limit)
        body = await answers.json_object(request)
        model, given = _model_and_input(body)
        if model in settings.paused_models:
            raise KieError(500, answers.PAUSED)
        check_input(model, given)
        photo = await take_in(self._ctx, request, image_urls(given))
        now_ms = self._now_ms()
        return Task(
            id=uuid.uuid4().hex,
            model=model,
            key=key,
            body=body,
            callback=_callback(body),
            origin=origin(request),
            photo=photo,
            small=settings.small_videos or settings.render_seconds == 0,
            created_ms=now_ms,
            due_ms=now_ms + int(settings.render_seconds * 1000),
            cost=price(model, given),
        )

    async def record_info(self, request: web.Request, settings: Knobs) -> web.StreamResponse:
        if settings.latency_seconds:
            await asyncio.sleep(settings.latency_seconds)
        key = _key(request, "Unauthorized")
        task_id = request.query.get("taskId", "")
        if not task_id:
            raise KieError(400, "taskId parameter is required")
        task = load(self._ctx, task_id)
        if task is None or task.key != key:
            raise KieError(422, "recordInfo is null")
        task.origin = origin(request)
        task = self._ctx.part(Studio, Studio).look(task)
        fault = self._ctx.faults.take("kie", "recordInfo", task=task.id, **words(task))
        return await spoiled(request, fault, settings, success(record(task, self._now_ms())))

    async def credit(self, request: web.Request, settings: Knobs) -> web.StreamResponse:
        fault = self._ctx.faults.take("kie", "credit", key=_key(request))
        balance = settings.balance
        good = success(int(balance) if balance == int(balance) else balance)
        return await spoiled(request, fault, settings, good)

    async def success_rate(self, request: web.Request, settings: Knobs) -> web.StreamResponse:
        """The last day in buckets of ten minutes; a paused model fails in the newest."""
        _key(request)
        now = int(self._ctx.clock.now()) // 600 * 600
        well = request.match_info["model"] not in settings.paused_models
        buckets = [
            {"time": at, "successRate": 100 * up, "errorRate": 100 * (not up), "isNormal": up}
            for at in range(now - 86_400 + 600, now + 600, 600)
            for up in (well or at < now,)
        ]
        return answer(success(buckets), settings)

    async def price_of(self, request: web.Request, settings: Knobs) -> web.StreamResponse:
        _key(request)
        each = price(_known(request), {"duration": 1})
        return answer(success({"pricingDesc": f"720p: {each:g} credits per second."}), settings)

    async def schema_of(self, request: web.Request, settings: Knobs) -> web.StreamResponse:
        _key(request)
        return answer(success(openapi(_known(request))), settings)

    async def video(self, request: web.Request) -> web.StreamResponse:
        task = load(self._ctx, request.match_info["task_id"])
        if task is None or not task.video or self._is_gone(task):
            raise web.HTTPNotFound(text=_NO_SUCH_KEY, content_type="application/xml")
        if task.fault == "result_not_video":
            body = str(task.fault_args.get("body", "")).encode() or _NOT_A_VIDEO
            mime = str(task.fault_args.get("content_type", _MIME))
            return web.Response(body=body, headers={"Content-Type": mime})
        path = self._ctx.store.file_path(task.video)
        if path is None:
            raise web.HTTPNotFound(text=_NO_SUCH_KEY, content_type="application/xml")
        if task.fault == "result_huge":
            return await _send_huge(request, path.read_bytes(), task)
        return web.FileResponse(path, headers={"Content-Type": _MIME})

    def _is_gone(self, task: Task) -> bool:
        gone_at = task.completed_ms / 1000 + _RESULT_LIFE_S
        return task.fault == "result_404" or gone_at < self._ctx.clock.now()

    def _now_ms(self) -> int:
        return int(self._ctx.clock.now() * 1000)


def _key(request: web.Request, refusal: str = answers.NO_ACCESS) -> str:
    key = bearer(request)
    if key is None:
        raise KieError(401, refusal)
    return key


def _known(request: web.Request) -> str:
    model = request.match_info["model"]
    if model not in schemas():
        raise KieError(404, answers.UNKNOWN_MODEL)
    return model


def _model_and_input(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise KieError(500, "model is required")
    if model not in schemas():
        raise KieError(422, answers.UNKNOWN_MODEL)
    given = body.get("input")
    return model, given if isinstance(given, dict) else {}


def _callback(body: dict[str, Any]) -> str:
    url = body.get("callBackUrl")
    if url is None or url == "":
        return ""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > _URL_LENGTH_MAX:
        raise KieError(422, "callBackUrl must be a valid http(s) URL")
    return url


async def _send_huge(request: web.Request, video: bytes, task: Task) -> web.StreamResponse:
    """Pad the video, in an mp4 box that players skip."""
    padding = int(float(task.fault_args.get("megabytes", _HUGE_DEFAULT_MB)) * 1024 * 1024)
    size = 8 + padding
    response = web.StreamResponse(headers={"Content-Type": _MIME})
    response.content_length = len(video) + size
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(video + size.to_bytes(4, "big") + b"free")
    while padding > 0:
        part = _CHUNK[: min(padding, len(_CHUNK))]
        await response.write(part)
        padding -= len(part)
    await response.write_eof()
    return response
