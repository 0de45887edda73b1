"""KIE's envelope: `{"code", "msg", "data"}`, HTTP 200 even for most errors."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from events.errors import NeurocardsError
from services.sandbox.knobs import Knobs

NO_BALANCE = (
    "Credits insufficient : Your current balance isn't enough to run this request. Please top up to continue."
)
PAUSED = "This interface is temporarily paused."
NO_ACCESS = "You do not have access permissions"
UNKNOWN_MODEL = "The model name you specified is not supported."
RATE_LIMITED = "Rate limit exceeded"
MAINTENANCE = "The server is currently being maintained, please try again later~"
SERVER_ERROR = "Server Error - An unexpected error occurred while processing the request"
IMAGE_NOT_FETCHED = (
    "Failed to fetch the image. Kindly verify any access limits set by you or your service provider."
)

# These codes come without a "data" key in the provider's examples.
_WITHOUT_DATA = frozenset({400, 401, 404, 429, 455})


class KieError(NeurocardsError):
    """An answer other than 200: the provider's code and sentence."""

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


def bearer(request: web.Request) -> str | None:
    """The key in the Authorization header; any key that is not empty is good here."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def origin(request: web.Request) -> str:
    """The address under which the caller reached this sandbox, so that it can reach what we link to."""
    return f"{request.scheme}://{request.host}"


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as an object. Raises KieError when it is not one, or is not declared to be JSON."""
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
