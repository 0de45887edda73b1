"""Around every request: a log line without secrets, headers for browsers, errors without traces."""

import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from services.web.metrics import REQUESTS

logger = structlog.get_logger()

_HEADERS: Final = {
    "Server": "neurocards",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'",
    "Cache-Control": "no-store",
}
_QUIET: Final = frozenset({"/health/live", "/health/ready"})


def route_of(request: web.Request) -> str:
    """The route's pattern, e.g. `/files/{token}`: the path itself may hold a secret and is never logged."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "no route"


@web.middleware
async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line and one measurement per request."""
    began = time.perf_counter()
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        seconds = time.perf_counter() - began
        route = route_of(request)
        REQUESTS.labels(route, str(status)).observe(seconds)
        log = logger.debug if route in _QUIET and status < 400 else logger.info
        log(
            "request_answered", method=request.method, route=route, status=status, ms=round(seconds * 1000, 1)
        )


@web.middleware
async def hide_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What nobody expected is logged whole and answered with nothing but a 500."""
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        logger.exception("request_failed", route=route_of(request))
        raise web.HTTPInternalServerError from None


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: also for errors and streams."""
    for name, value in _HEADERS.items():
        if name == "Server" or name not in response.headers:
            response.headers[name] = value
