"""YooKassa's errors, headers and credentials."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import uuid
from typing import Any

from aiohttp import web

from events.errors import NeurocardsError
from services.sandbox.app import Context
from services.sandbox.knobs import takes_key

NO_PAYMENT = (
    "Incorrect payment_id. Payment doesn't exist or access denied. "
    "Specify the payment ID created in your store."
)
NO_REFUND = (
    "Incorrect refund_id. Refund doesn't exist or access denied. Specify the refund ID created in your store."
)
TOO_MANY = "Wow, so many requests! Try to use an exponential backoff of your requests."

_STATUSES = {
    "invalid_request": 400,
    "invalid_credentials": 401,
    "forbidden": 403,
    "not_found": 404,
    "too_many_requests": 429,
    "internal_server_error": 500,
}


class YooError(NeurocardsError):
    """An error answer: `code` as the API names it, a sentence, and the parameter at fault."""

    def __init__(self, code: str, description: str, parameter: str | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.parameter = parameter


def invalid(description: str, parameter: str | None = None) -> YooError:
    return YooError("invalid_request", description, parameter)


def good(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, headers=_headers())


def bad(error: YooError) -> web.Response:
    body = {
        "type": "error",
        "id": str(uuid.uuid4()),
        "code": error.code,
        "description": error.description,
    }
    if error.parameter is not None:
        body["parameter"] = error.parameter
    headers = _headers()
    if error.code == "invalid_credentials":
        headers["WWW-Authenticate"] = "Basic"
    return web.json_response(body, status=_STATUSES[error.code], headers=headers)


def check_credentials(ctx: Context, request: web.Request) -> None:
    """HTTP Basic with the shop's id and secret key. Raises YooError."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        shop, _, secret = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        shop = secret = ""
    ours = shop == ctx.settings.yookassa_shop_id
    if scheme.lower() != "basic" or not ours or not takes_key(ctx, secret, ctx.settings.yookassa_secret_key):
        raise YooError("invalid_credentials", "Authentication by given credentials failed", "Authorization")


async def json_body(request: web.Request) -> dict[str, Any]:
    """The body as an object. Raises YooError."""
    try:
        body = json.loads(await request.read())
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise invalid("Can't parse the request body: it is not valid JSON") from error
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object")
    return body


def iso(epoch_s: float) -> str:
    moment = datetime.datetime.fromtimestamp(epoch_s, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(text: str, parameter: str) -> float:
    """Seconds of an ISO 8601 moment. Raises YooError."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"Incorrect date: {text[:60]}", parameter) from error
    if moment.tzinfo is None:
        raise invalid("The date needs a time zone", parameter)
    return moment.timestamp()


def _headers() -> dict[str, str]:
    # About the answer, and documented nowhere: clients can do nothing with it but must not trip over it.
    noise = uuid.uuid4()
    return {"Signature": f"v1 {noise.hex[:8]} 1 {base64.b64encode(noise.bytes).decode()}"}
