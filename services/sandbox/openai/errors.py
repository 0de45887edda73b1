"""OpenAI's error bodies, and what the faults do."""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

from services.sandbox.app import Context, bearer
from services.sandbox.faults import Fault, broken_answer

QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information "
    "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)
SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
    "auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're "
    "accessing the API from your browser and are prompted for a username and password. You can obtain an API "
    "key from https://platform.openai.com/account/api-keys."
)


def good(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, headers=_headers())


def error(
    status: int,
    message: str,
    kind: str,
    code: str | None = None,
    param: str | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """An error in the API's shape; the SDK shows its inner object as `e.body`."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return web.json_response(body, status=status, headers=_headers() | (headers or {}))


def bad_request(message: str, param: str | None = None, code: str | None = None) -> web.Response:
    return error(400, message, "invalid_request_error", code, param)


def missing(param: str) -> web.Response:
    return bad_request(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


async def refused(ctx: Context, request: web.Request, call: str, **words: str) -> web.Response | Fault | None:
    """Response of a failing call; a fault that spoils the content; or None."""
    key = bearer(request)
    if key is None:
        return error(401, NO_KEY, "invalid_request_error")
    fault = ctx.faults.take("openai", call, key=key, **words)
    if fault is None:
        return None
    match fault.name:
        case "quota":
            return error(429, QUOTA, "insufficient_quota", "insufficient_quota")
        case "rate_limit":
            return _rate_limited(fault, words.get("model", "gpt-6-luna"))
        case "bad_key":
            text = f"Incorrect API key provided: {_masked(key)}. You can find your API key at "
            text += "https://platform.openai.com/account/api-keys."
            return error(401, text, "invalid_request_error", "invalid_api_key")
        case "region":
            text = "Country, region, or territory not supported"
            return error(403, text, "request_forbidden", "unsupported_country_region_territory")
        case "no_model":
            text = f"The model `{words.get('model', '')}` does not exist or you do not have access to it."
            return error(404, text, "invalid_request_error", "model_not_found")
        case "bad_request":
            return bad_request("Invalid value: 'x'.", "messages", "invalid_value")
        case "policy":
            text = "Your request was rejected as a result of our safety system."
            return error(400, text, "invalid_request_error", "content_policy_violation")
        case "html_200":
            return web.Response(
                text="<html><body>Sign in to the network</body></html>", content_type="text/html"
            )
        case "server_error":
            return error(int(fault.args.get("status", 500)), SERVER_ERROR, "server_error")
    broken = await broken_answer(request, fault)
    return fault if broken is None else broken


async def json_object(request: web.Request) -> dict[str, Any] | None:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def not_json() -> web.Response:
    return bad_request(
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent "
        "was not valid JSON.)"
    )


def _rate_limited(fault: Fault, model: str) -> web.Response:
    seconds = float(fault.args.get("seconds", 20))
    kind = str(fault.args.get("type", "requests"))
    per = "requests per min (RPM)" if kind == "requests" else "tokens per min (TPM)"
    text = (
        f"Rate limit reached for {model} in organization org-sandbox on {per}: Limit 3, Used 3, Requested 1. "
        f"Please try again in {seconds:g}s."
    )
    headers = {
        f"x-ratelimit-limit-{kind}": "3",
        f"x-ratelimit-remaining-{kind}": "0",
        f"x-ratelimit-reset-{kind}": f"{seconds:g}s",
        "retry-after": str(max(1, round(seconds))),
        "retry-after-ms": str(int(seconds * 1000)),
    }
    return error(429, text, kind, "rate_limit_exceeded", headers=headers)


def _masked(key: str) -> str:
    return key if len(key) <= 8 else f"{key[:4]}{'*' * (len(key) - 8)}{key[-4:]}"


def _headers() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}"}
