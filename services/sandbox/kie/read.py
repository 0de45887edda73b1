"""Reading: recordInfo, Veo's record-info, the balance, download links, and the finished videos."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from typing import Any

from aiohttp import web

from services.sandbox import faults
from services.sandbox.context import Context, Fault
from services.sandbox.kie import wire
from services.sandbox.kie.limits import Limits
from services.sandbox.kie.studio import Studio
from services.sandbox.kie.tasks import Task, load, record, veo_resolution, veo_urls
from services.sandbox.kie.wire import KieError, answer, bearer, failure, json_object, origin, success
from services.sandbox.knobs import Knobs, knobs

# What a fault does to a call. (What it does to a task is told in `tasks.py`.)
#
# Faults that answer with an envelope take `code`, `msg` and `retry_after` (a header) as arguments. A broken
# answer leaves open whether the task was made; `accepted` (true or false) decides, by default as written in
# `MAKES_A_TASK`.


_ENVELOPES = {
    "paused": (500, wire.PAUSED),
    "no_balance": (402, wire.NO_BALANCE),
    "no_balance_500": (500, wire.NO_BALANCE),
    "rate_limited": (429, wire.RATE_LIMITED),
    "maintenance": (455, wire.MAINTENANCE),
    "server_error": (500, wire.SERVER_ERROR),
    "validation": (500, "image_urls is required"),
    "bad_key": (401, wire.NO_ACCESS),
    "record_null": (422, "recordInfo is null"),
}

MAKES_A_TASK = {
    "drop_after_accept": True,
    "truncated_json": True,  # the answer was on its way
    "drop_before": False,
    "html_502": False,
    "http_500": False,
    "empty_body": False,
    "hang": False,
}


def accepts(fault: Fault) -> bool:
    """Whether the task exists although the call goes wrong."""
    return bool(fault.args.get("accepted", MAKES_A_TASK.get(fault.name, False)))


async def act(request: web.Request, fault: Fault, settings: Knobs, good: dict[str, Any]) -> web.Response:
    """The wrong answer; `good` is the one that would have been given."""
    match fault.name:
        case "html_502":
            return faults.html_502()
        case "http_500":
            return web.Response(status=500, text="Internal Server Error")
        case "truncated_json":
            return faults.truncated_json(good)
        case "empty_body":
            return faults.empty_body()
        case "drop" | "drop_before" | "drop_after_accept":
            return faults.drop(request)
        case "hang":
            return await faults.hang(request, float(fault.args.get("seconds", faults.HANG_DEFAULT_S)))
    code, msg = _ENVELOPES[fault.name]
    response = answer(failure(int(fault.args.get("code", code)), str(fault.args.get("msg", msg))), settings)
    if "retry_after" in fault.args:
        response.headers["Retry-After"] = str(fault.args["retry_after"])
    return response


def is_call_fault(fault: Fault | None) -> bool:
    """Whether the fault spoils the answer itself, not the task or its callback."""
    return fault is not None and (fault.name in MAKES_A_TASK or fault.name in _ENVELOPES)


_LINK_KIND = "kie_link"
_LINK_TTL_S = 1200.0


def routes(ctx: Context) -> list[web.RouteDef]:
    reader = _Reader(ctx)
    return [
        web.get("/api/v1/jobs/recordInfo", reader.record_info),
        web.get("/api/v1/veo/record-info", reader.veo_record),
        web.get("/api/v1/chat/credit", reader.credit),
        web.get("/api/v1/models/{model:.+}/success-rate", reader.success_rate),
        web.post("/api/v1/common/download-url", reader.download_url),
        web.get("/d/{token}", reader.follow_link),
    ]


class _Reader:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def record_info(self, request: web.Request) -> web.StreamResponse:
        settings = knobs(self._ctx)
        if settings.latency_seconds:
            await asyncio.sleep(settings.latency_seconds)
        try:
            task = self._find(request, settings, "market", "recordInfo is null")
        except KieError as error:
            status = 429 if error.code == 429 else None
            return answer(failure(error.code, error.msg), settings, status)
        good = success(record(task, self._now_ms()))
        return await self._unless_faulty(request, task, good, settings)

    async def veo_record(self, request: web.Request) -> web.StreamResponse:
        settings = knobs(self._ctx)
        try:
            task = self._find(request, settings, "veo", "record is null.")
        except KieError as error:
            return answer(failure(error.code, error.msg), settings)
        return await self._unless_faulty(request, task, success(_veo_record(task)), settings)

    def _find(self, request: web.Request, settings: Knobs, family: str, missing: str) -> Task:
        key = bearer(request)
        if key is None:
            raise KieError(401, "Unauthorized")
        self._ctx.part(Limits, Limits).check("read", key, settings.read_limit, 1.0)
        task_id = request.query.get("taskId", "")
        if not task_id:
            raise KieError(400, "taskId parameter is required")
        task = load(self._ctx, task_id)
        if task is None or task.family != family or task.key != key:
            raise KieError(422, missing)
        task.origin = origin(request)
        return self._ctx.part(Studio, Studio).look(task)

    async def _unless_faulty(
        self, request: web.Request, task: Task, good: dict[str, Any], settings: Knobs
    ) -> web.Response:
        words = {"key": task.key, "model": task.model, "callback": task.callback, "prompt": task.prompt}
        fault = self._ctx.faults.take("kie", "recordInfo", task=task.id, **words)
        return answer(good, settings) if fault is None else await act(request, fault, settings, good)

    def _now_ms(self) -> int:
        return int(self._ctx.clock.now() * 1000)

    async def credit(self, request: web.Request) -> web.StreamResponse:
        settings = knobs(self._ctx)
        key = bearer(request)
        if key is None:
            return answer(failure(401, "You do not have access permissions"), settings)
        balance = settings.balance
        good = success(int(balance) if balance == int(balance) else balance)
        fault = self._ctx.faults.take("kie", "credit", key=key)
        return answer(good, settings) if fault is None else await act(request, fault, settings, good)

    async def success_rate(self, request: web.Request) -> web.StreamResponse:
        """The last day in buckets of ten minutes; a paused model fails in the newest."""
        settings, now = knobs(self._ctx), int(self._ctx.clock.now()) // 600 * 600
        if bearer(request) is None:
            return answer(failure(401, "You do not have access permissions"), settings)
        well = request.match_info["model"] not in settings.paused_models
        buckets = [
            {"time": at, "successRate": 100 * up, "errorRate": 100 * (not up), "isNormal": up}
            for at in range(now - 86_400 + 600, now + 600, 600)
            for up in (well or at < now,)
        ]
        return answer(success(buckets), settings)

    async def download_url(self, request: web.Request) -> web.StreamResponse:
        """A link to one of our own videos that is good for 20 minutes."""
        settings = knobs(self._ctx)
        try:
            if bearer(request) is None:
                raise KieError(401, "You do not have access permissions")
            url = (await json_object(request)).get("url")
            if not isinstance(url, str) or not url:
                raise KieError(400, "url is required")
            if not url.startswith((f"{origin(request)}/kie/v/", f"{self._ctx.base_url}/kie/v/")):
                raise KieError(422, "The url is not a file generated here")
        except KieError as error:
            return answer(failure(error.code, error.msg), settings)
        token = uuid.uuid4().hex
        path = url.partition("/kie/v/")[2]
        link = {"path": path, "expires_at": self._ctx.clock.now() + _LINK_TTL_S}
        self._ctx.store.put(_LINK_KIND, token, link)
        return answer(success(f"{origin(request)}/kie/d/{token}"), settings)

    async def follow_link(self, request: web.Request) -> web.StreamResponse:
        link = self._ctx.store.get(_LINK_KIND, request.match_info["token"])
        if link is None or link["expires_at"] < self._ctx.clock.now():
            raise web.HTTPNotFound(text="link expired")
        raise web.HTTPFound(f"/kie/v/{link['path']}")


def _veo_record(task: Task) -> dict[str, Any]:
    done = task.state == "success"
    when = datetime.datetime.fromtimestamp(task.completed_ms / 1000, datetime.UTC)
    urls = veo_urls(task)
    response = {"taskId": task.id, "resultUrls": urls, "originUrls": urls, "resolution": veo_resolution(task)}
    return {
        "taskId": task.id,
        "paramJson": json.dumps(task.body, ensure_ascii=False),
        "completeTime": when.strftime("%Y-%m-%d %H:%M:%S") if task.completed_ms else None,
        "response": response if done else None,
        "successFlag": {"open": 0, "success": 1, "fail": 3}[task.state],
        "errorCode": int(task.fail_code) if task.fail_code.isdecimal() else None,
        "errorMessage": task.fail_msg,
        "createTime": task.created_ms,
        "fallbackFlag": False,
    }
