"""`neurocards serve dashboard`: pages for owners, operators and auditors."""

from contextlib import AsyncExitStack
from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.dashboard.live import HINTS, Hints
from services.dashboard.pages import ROUTES
from services.dashboard.render import Renderer
from services.dashboard.routes import Route
from services.dashboard.visit import Authenticate, Context, Visit
from services.platform.database import reading_pool
from services.platform.errors import StartError
from services.platform.health import address_of
from services.platform.http_server import LimitedRunner
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.redis import command_client
from services.platform.settings import Settings

BODY_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 256


async def serve(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(settings, "dashboard"))
        ledger, _ = await stack.enter_async_context(start_ledger(settings, runtime, max_size=4))
        pool = await stack.enter_async_context(await reading_pool(settings, "dashboard"))
        redis = None
        if settings.redis_url is not None:
            redis = await stack.enter_async_context(command_client(settings, max_connections=4))
        context = Context(settings, pool, ledger, redis, Renderer(), ROUTES)
        runner = LimitedRunner(build_app(context, _nobody), most=CONNECTIONS_MAX)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        where = (settings.dashboard_host, settings.dashboard_port)
        try:
            await web.TCPSite(runner, *where).start()
        except OSError as error:
            raise StartError(f"DASHBOARD_PORT: cannot listen on {where}: {error.strerror}") from None
        runtime.announce(dashboard_url=address_of(runner))
        runtime.ready()
        await runtime.wait()


async def _nobody(_: web.Request) -> None:
    """Refuse everybody, as there is no login yet."""


def build_app(context: Context, authenticate: Authenticate) -> web.Application:
    """The application: every route of `context`, each for its role."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    for route in context.routes:
        app.router.add_route(route.method, route.path, _guarded(route, context, authenticate))
    app[HINTS] = hints = Hints(context.pool, authenticate)
    app.on_shutdown.append(lambda _: hints.close())
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
