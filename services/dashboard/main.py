"""`neurocards serve dashboard`: pages for owners, operators and auditors."""

from contextlib import AsyncExitStack
from importlib.resources import files
from typing import Final

from aiohttp import web

from services.dashboard.access import add_headers, guarded, middlewares
from services.dashboard.live import HINTS, Hints
from services.dashboard.pages import ROUTES
from services.dashboard.render import Renderer
from services.dashboard.sessions import Sessions
from services.dashboard.users import Users
from services.dashboard.visit import Authenticate, Context
from services.platform.database import reading_pool
from services.platform.errors import StartError
from services.platform.health import address_of
from services.platform.http_server import LimitedRunner
from services.platform.primary_mark import PrimaryMark
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.redis import command_client
from services.platform.settings import Settings

BODY_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 256
PEER_CONNECTIONS_MAX: Final = 64
"""Of one address, unless it is a proxy's: half a form keeps a connection for some seconds."""


async def serve(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(settings, "dashboard"))
        opened = start_ledger(settings, runtime, max_size=4, mark=PrimaryMark)
        ledger, writing = await stack.enter_async_context(opened)
        pool = await stack.enter_async_context(await reading_pool(settings, "dashboard"))
        redis = None
        if settings.redis_url is not None:
            redis = await stack.enter_async_context(command_client(settings, max_connections=4))
        sessions = Sessions(settings, pool, Users(writing))
        context = Context(settings, pool, ledger, redis, Renderer(), ROUTES, sessions)
        runner = build_runner(build_app(context), proxied=bool(settings.dashboard_trusted_proxy))
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


def build_runner(app: web.Application, *, proxied: bool) -> LimitedRunner:
    return LimitedRunner(app, most=CONNECTIONS_MAX, per_peer=0 if proxied else PEER_CONNECTIONS_MAX)


def build_app(context: Context, authenticate: Authenticate | None = None) -> web.Application:
    """The application: every route of `context`, each for its role."""
    ask = authenticate or context.sessions.authenticate
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=middlewares(context))
    for route in context.routes:
        app.router.add_route(route.method, route.path, guarded(route, context, ask))
    app[HINTS] = hints = Hints(context.pool, ask)
    app.on_shutdown.append(lambda _: hints.close())
    app.router.add_static("/static/", str(files("services.dashboard") / "static"))
    app.on_response_prepare.append(add_headers)
    return app
