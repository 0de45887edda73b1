"""`neurocards serve dashboard`: pages for owners, operators and auditors."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.dashboard.routes import Route
from services.dashboard.visit import Context, User, Visit

BODY_BYTES_MAX: Final = 64 * 1024
Authenticate = Callable[[web.Request], Awaitable[User | None]]
"""Who asks; None: nobody that we know."""


def build_app(context: Context, authenticate: Authenticate) -> web.Application:
    """The application: every route of `context`, each for its role."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    for route in context.routes:
        app.router.add_route(route.method, route.path, _guarded(route, context, authenticate))
    app.router.add_static("/static/", str(files("services.dashboard") / "static"))
    return app


def _guarded(route: Route, context: Context, authenticate: Authenticate) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        user = await authenticate(request)
        if user is None:
            raise web.HTTPFound("/login")
        if route.least is not None and user.role < route.least:
            raise web.HTTPForbidden(text=f"this needs the role {route.least.name}")
        return await route.handler(Visit(request, user, context))

    return handle
