"""What a fault does to a call. (What it does to a task is told in `tasks.py`.)

Faults that answer with an envelope take `code`, `msg` and `retry_after` (a header) as arguments. A broken
answer leaves open whether the task was made; `accepted` (true or false) decides, by default as written in
`MAKES_A_TASK`.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from services.sandbox import broken
from services.sandbox.context import Fault
from services.sandbox.kie import wire
from services.sandbox.kie.wire import answer, failure
from services.sandbox.knobs import Knobs

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
            return broken.html_502()
        case "http_500":
            return web.Response(status=500, text="Internal Server Error")
        case "truncated_json":
            return broken.truncated_json(good)
        case "empty_body":
            return broken.empty_body()
        case "drop" | "drop_before" | "drop_after_accept":
            return broken.drop(request)
        case "hang":
            return await broken.hang(request, float(fault.args.get("seconds", broken.HANG_DEFAULT_S)))
    code, msg = _ENVELOPES[fault.name]
    response = answer(failure(int(fault.args.get("code", code)), str(fault.args.get("msg", msg))), settings)
    if "retry_after" in fault.args:
        response.headers["Retry-After"] = str(fault.args["retry_after"])
    return response


def is_call_fault(fault: Fault | None) -> bool:
    """Whether the fault spoils the answer itself, not the task or its callback."""
    return fault is not None and (fault.name in MAKES_A_TASK or fault.name in _ENVELOPES)
