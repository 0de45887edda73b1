"""KIE's envelope `{"code", "msg", "data"}`, rate limits and faults; HTTP 200 even for most errors.

Faults that answer with an envelope take `code`, `msg` and `retry_after` (a header) as arguments. A broken
answer leaves open whether the task was made; `accepted` (true or false) decides, by default as written in
`MAKES_A_TASK`. (What a fault does to a task is told in `tasks.py`.)
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from aiohttp import web

from events.errors import NeurocardsError
from services.sandbox.app import Context
from services.sandbox.faults import Fault, broken_answer
from services.sandbox.knobs import Knobs

NO_BALANCE = (
    "Credits insufficient : Your current balance isn't enough to run this request. Please top up to continue."
)
PAUSED = "This interface is temporarily paused."
NO_ACCESS = "You do not have access permissions"
UNKNOWN_MODEL = "The model name you specified is not supported."
RATE_LIMITED = "Rate limit exceeded"
IMAGE_NOT_FETCHED = (
    "Failed to fetch the image. Kindly verify any access limits set by you or your service provider."
)

_WINDOW_S = 10.0

# These codes come without a "data" key in the provider's examples.
_WITHOUT_DATA = frozenset({400, 401, 404, 429, 455})


class KieError(NeurocardsError):
    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg


def success(data: Any, msg: str = "success") -> dict[str, Any]:
    return {"code": 200, "msg": msg, "data": data}


def failure(code: int, msg: str) -> dict[str, Any]:
    envelope: dict[str, Any] = {"code": code, "msg": msg}
    if code not in _WITHOUT_DATA:
        envelope["data"] = None
    return envelope


def answer(envelope: dict[str, Any], settings: Knobs, status: int | None = None) -> web.Response:
    """The envelope as a response; with the switch `http_statuses` its code is the HTTP status too."""
    code = envelope["code"]
    if status is None:
        status = code if settings.http_statuses and 100 <= code < 600 else 200
    return web.json_response(envelope, status=status, dumps=_dumps)


def origin(request: web.Request) -> str:
    """The sandbox's address as the caller reached it, for links."""
    return f"{request.scheme}://{request.host}"


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as an object. Raises KieError for anything else, or without a JSON content type."""
    if request.content_type != "application/json":
        raise KieError(400, "Content-Type must be application/json")
    raw = await request.read()
    try:
        body = json.loads(raw)
        if b"\\ud" in raw.lower():
            json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate could be kept nowhere
    except (ValueError, RecursionError) as error:
        raise KieError(400, "The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise KieError(400, "The request body must be a JSON object")
    return body


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Limits:
    """Creations per key and window, in memory; one per sandbox (`ctx.part(Limits, Limits)`)."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._passed: dict[str, deque[float]] = {}

    def check(self, key: str, limit: int) -> None:
        """Count one call. Raises KieError 429 when `limit` (0: none) were let through in the window."""
        if limit == 0:
            return
        now = self._ctx.clock.now()
        passed = self._passed.setdefault(key, deque())
        while passed and passed[0] <= now - _WINDOW_S:
            passed.popleft()
        if len(passed) >= limit:
            raise KieError(429, RATE_LIMITED)
        passed.append(now)


_ENVELOPES = {
    "paused": (500, PAUSED),
    "no_balance": (402, NO_BALANCE),
    "no_balance_500": (500, NO_BALANCE),
    "rate_limited": (429, RATE_LIMITED),
    "maintenance": (455, "The server is currently being maintained, please try again later~"),
    "server_error": (500, "Server Error - An unexpected error occurred while processing the request"),
    "validation": (500, "image_urls is required"),
    "bad_key": (401, NO_ACCESS),
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


def spoils_the_call(fault: Fault | None) -> bool:
    """Whether the fault spoils the answer, not the task or its callback."""
    return fault is not None and (fault.name in MAKES_A_TASK or fault.name in _ENVELOPES)


def makes_a_task(fault: Fault) -> bool:
    return bool(fault.args.get("accepted", MAKES_A_TASK.get(fault.name, False)))


async def spoiled(
    request: web.Request, fault: Fault | None, settings: Knobs, good: dict[str, Any]
) -> web.Response:
    if fault is None:
        return answer(good, settings)
    if fault.name == "http_500":
        return web.Response(status=500, text="Internal Server Error")
    if (broken := await broken_answer(request, fault, good)) is not None:
        return broken
    code, msg = _ENVELOPES[fault.name]
    response = answer(failure(int(fault.args.get("code", code)), str(fault.args.get("msg", msg))), settings)
    if "retry_after" in fault.args:
        response.headers["Retry-After"] = str(fault.args["retry_after"])
    return response
