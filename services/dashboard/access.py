"""Middleware of every answer: headers, origin of what changes something, errors as pages, the access log.

A page may load files of our own origin and nothing else; nobody may frame it, keep it, or learn from where it
was left.
"""

import asyncio
import errno
import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import clear_contextvars

from events.errors import UnknownEventTypeError
from ledger.postgres import TRANSIENT
from projections.engine.errors import NotInLogError
from services.dashboard.routes import Role, Route
from services.dashboard.sessions import preferred
from services.dashboard.users import User
from services.dashboard.visit import Authenticate, Context, Visit

logger = structlog.get_logger()

HEADERS: Final = {
    "Server": "neurocards",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PAGE_S: Final = 10.0
"""A page that a frozen database keeps for longer is answered with 503."""
_STREAMS: Final = ("/live", "/downloads/")
_HARMLESS: Final = frozenset({"GET", "HEAD"})
VISIT: Final = web.RequestKey("visit", Visit)
NEEDS: Final = web.RequestKey("needs", Role)
"""The role that was missing."""
BEGUN: Final = web.RequestKey("begun", bool)
"""Whether an answer is under way."""


def guarded(route: Route, context: Context, authenticate: Authenticate) -> Handler:
    """The route's handler for who has its role; others are sent to the login, or refused."""

    async def handle(request: web.Request) -> web.StreamResponse:
        async with asyncio.timeout(PAGE_S):
            user = await authenticate(request) or User("", "", Role.nobody, preferred(request))
        request[VISIT] = visit = Visit(request, user, context)
        if user.role >= route.least:
            is_page = request.method in _HARMLESS and not route.path.startswith(_STREAMS)
            async with asyncio.timeout(PAGE_S if is_page else None):
                return await route.handler(visit)
        if user.role is Role.nobody:
            raise to_login(request)
        request[NEEDS] = route.least
        raise web.HTTPForbidden

    return handle


def to_login(request: web.Request) -> web.HTTPException:
    """Back to the page afterwards; a fragment, whose page is still open, has the whole page go there."""
    if request.method not in _HARMLESS:
        return web.HTTPUnauthorized(text="log in first: /login")
    if "HX-Request" in request.headers:
        return web.HTTPUnauthorized(headers={"HX-Redirect": "/login"})
    return web.HTTPSeeOther(str(request.rel_url.with_path("/login").with_query({"next": request.path_qs})))


def is_forged(request: web.Request, origin: str) -> bool:
    """Whether another site makes the browser change something here.

    Browsers say so themselves (`Sec-Fetch-Site`); of an old one Origin has to be ours: `origin`, or that
    of its Host.
    """
    if request.method in _HARMLESS:
        return False
    said = request.headers.getall("Sec-Fetch-Site", [])
    if said:
        return said not in (["same-origin"], ["none"])
    own = {origin, f"{origin.partition('://')[0]}://{request.host}"}
    given = request.headers.getall("Origin", [])
    return len(given) != 1 or given[0] not in own


def middlewares(context: Context) -> list[Middleware]:
    """From the outermost to the innermost."""
    origin = context.settings.dashboard_base

    @web.middleware
    async def log(request: web.Request, handler: Handler) -> web.StreamResponse:
        clear_contextvars()  # of the request before this one on the same connection
        began, status = time.perf_counter(), 500
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            visit = request.get(VISIT)
            logger.info(
                "request_answered", method=request.method, route=_route(request), status=status,
                ms=round((time.perf_counter() - began) * 1000, 1), user=visit.user.id if visit else "",
                address=context.sessions.address(request),
            )  # fmt: skip

    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if is_forged(request, origin):
                raise web.HTTPForbidden(text="this came from another site; open the page here and try again")
            return await handler(request)
        except Exception as error:
            if isinstance(error, ConnectionResetError) or BEGUN in request:
                raise  # a page in the midst of a file would be part of it: the connection ends instead
            return await _answer(request, context, error)

    return [log, errors]


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: also for redirects, files and streams."""
    request[BEGUN] = True
    for name, value in HEADERS.items():
        response.headers[name] = value


async def _answer(request: web.Request, context: Context, error: Exception) -> web.Response:
    """What an error says, as a page. Raises redirects."""
    match error:
        case web.HTTPException():
            if error.status < web.HTTPBadRequest.status_code or "HX-Redirect" in error.headers:
                raise error
            return await _as_page(request, context, error.status, error.text or error.reason)
        case OSError(errno=errno.ENAMETOOLONG):  # a file of that name
            return await _as_page(request, context, 404, "")
        case NotInLogError():
            return await _as_page(request, context, 404, str(error))
        case UnknownEventTypeError():  # a newer version's: no defect
            return await _as_page(request, context, 409, str(error))
    if isinstance(error, TRANSIENT):
        logger.warning("request_failed", route=_route(request), error=str(error))
        return await _as_page(request, context, 503, "")
    logger.error("request_failed", route=_route(request), exc_info=error)
    return await _as_page(request, context, 500, "")


async def _as_page(request: web.Request, context: Context, status: int, text: str) -> web.Response:
    stranger = User("", "", Role.nobody, preferred(request))
    visit = request.get(VISIT) or Visit(request, stranger, context)
    needs = request.get(NEEDS) if status == web.HTTPForbidden.status_code else None
    detail = "" if text.startswith(f"{status}: ") else text  # aiohttp's own words
    return await visit.render("error.html", status=status, code=status, needs=needs, text=detail)


def _route(request: web.Request) -> str:
    """The route's pattern: the path itself may hold a link's secret."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "no route"
