"""`neurocards serve web`: callbacks, notifications, updates, links to large videos."""

import contextlib
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from redis.asyncio import Redis

from services.adapters.kie.gateway import Kie
from services.adapters.yookassa.gateway import YooKassa
from services.payments.orders import PaymentOrders
from services.payments.yookassa import YooKassaPayments
from services.platform.ask_time import ask_time
from services.platform.blob_stores import open_blobs
from services.platform.errors import StartError
from services.platform.file_links import FileLinks
from services.platform.health import Health, address_of, health_routes
from services.platform.http_server import SILENCE_S, LimitedRunner
from services.platform.periodic import repeat
from services.platform.primary_mark import PrimaryMark
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.redis import command_client
from services.platform.settings import Settings
from services.streams.wake import IDLE_S, Waker
from services.web.files import Files
from services.web.kie_webhook import CallbackDesk, KieWebhook
from services.web.middleware import Access, add_headers, hide_errors
from services.web.telegram_webhook import TelegramWebhook
from services.web.yookassa_webhook import YooKassaWebhook

PUBLIC_HEALTH: Final = frozenset({"/health/live", "/health/ready"})
BODY_BYTES_MAX: Final = 256 * 1024
"""A callback repeats the task's whole input, a prompt of up to 20,000 characters included."""
CONNECTIONS_MAX: Final = 512
PEER_CONNECTIONS_MAX: Final = 64
"""Of one address, where no proxy of ours stands before us: behind one, all come from there."""
HEADER_S_MAX: Final = 15.0
SHUTDOWN_S: Final = 5.0


def build_app(health: Health, routes: Iterable[web.RouteDef]) -> web.Application:
    """An application with `routes` and liveness; all else is on the process's own health server."""
    access = Access()
    health.tell({"requests_in_flight": lambda: dict(access.in_flight)})
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[access.log, hide_errors])
    app.add_routes([route for route in health_routes(health) if route.path in PUBLIC_HEALTH])
    app.add_routes(routes)
    app.on_response_prepare.append(add_headers)
    return app


def build_runner(app: web.Application, *, proxied: bool) -> LimitedRunner:
    """A runner; behind a proxy, which reads headers first, connections are kept."""
    return LimitedRunner(
        app,
        most=CONNECTIONS_MAX,
        per_peer=0 if proxied else PEER_CONNECTIONS_MAX,
        silence_s=SILENCE_S if proxied else HEADER_S_MAX,
        shutdown_s=SHUTDOWN_S,
    )


async def serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(settings, "web"))
        opened = start_ledger(settings, runtime, ask=ask_time, mark=PrimaryMark)
        ledger, pool = await stack.enter_async_context(opened)
        blobs = open_blobs(settings)
        kie = await stack.enter_async_context(Kie(settings, blobs))
        waker = Waker(_redis(settings, stack))
        runtime.spawn(repeat(waker.send, runtime.stop, "wake", idle_s=IDLE_S, wake=waker.wake), "wake")
        webhook = KieWebhook(settings, CallbackDesk(settings, ledger, kie, waker.hint))
        files = Files(FileLinks(settings), blobs)
        shop = await stack.enter_async_context(YooKassa(settings))
        money = YooKassaWebhook(settings, YooKassaPayments(PaymentOrders(settings, ledger, pool), shop))
        updates = TelegramWebhook(settings, pool)
        routes = [*webhook.routes(), *money.routes(), *updates.routes(), *files.routes()]
        app = build_app(runtime.health, routes)

        runner = build_runner(app, proxied=settings.web_proxies_count > 0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.web_host, settings.web_port).start()
        except OSError as error:
            where = f"{settings.web_host}:{settings.web_port}"
            raise StartError(f"WEB_PORT: cannot listen on {where}: {error.strerror}") from None
        runtime.announce(web_url=address_of(runner))
        runtime.ready()
        await runtime.wait()


def _redis(settings: Settings, stack: contextlib.AsyncExitStack) -> Redis | None:
    """Redis, if any: without one, and while it is away, workers look by themselves."""
    if settings.redis_url is None:
        return None
    redis = command_client(settings, max_connections=2)
    stack.push_async_callback(redis.aclose)
    return redis
