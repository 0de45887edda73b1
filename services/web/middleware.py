"""HTTP middleware: access log without secrets, security headers, errors without traces."""

import time
from collections import Counter
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.contextvars import clear_contextvars

from services.web.metrics import IN_FLIGHT, REQUESTS

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


class Access:
    """Access log and metrics. `in_flight`: how many are being answered, by route."""

    def __init__(self) -> None:
        self.in_flight: Counter[str] = Counter()

    @web.middleware
    async def log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        clear_contextvars()  # of the request before this one on the same connection
        began = time.perf_counter()
        route, status = route_of(request), 500
        self._count(route, 1)
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            self._count(route, -1)
            seconds = time.perf_counter() - began
            REQUESTS.labels(route, str(status)).observe(seconds)
            log = logger.debug if route in _QUIET and status < 400 else logger.info
            ms = round(seconds * 1000, 1)
            log("request_answered", method=request.method, route=route, status=status, ms=ms)

    def _count(self, route: str, change: int) -> None:
        self.in_flight[route] += change
        if not self.in_flight[route]:
            del self.in_flight[route]
        IN_FLIGHT.set(self.in_flight.total())


@web.middleware
async def hide_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log an unexpected error whole, and answer with a bare 500."""
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
