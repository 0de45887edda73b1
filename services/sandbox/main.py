"""The sandbox as a process: one socket, one folder, all outside companies."""

from __future__ import annotations

import contextlib
import socket

import structlog
from aiohttp import web

from services.generation.callback_urls import YOOKASSA_PATH
from services.platform.errors import StartError
from services.platform.process import Runtime
from services.platform.settings import Settings
from services.sandbox import chat, control, kie, openai, telegram, yookassa
from services.sandbox.app import Context, RoutesOf, SandboxSettings, build_app
from services.sandbox.faults import Faults
from services.sandbox.store import Store

log = structlog.get_logger()

# How long open requests (long polls, downloads) may go on after a stop signal.
_SHUTDOWN_S = 1.0
_BACKLOG = 1024

MODULES: dict[str, RoutesOf] = {
    "/telegram": telegram.routes,
    "/kie": kie.routes,
    "/openai": openai.routes,
    "/yookassa": yookassa.routes,
    "/chat": chat.routes,
    "/__sandbox": control.routes,
    "": lambda ctx: [*chat.page_routes(ctx), *telegram.root_routes(ctx)],
}


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError for a taken port, StoreError for a taken folder."""
    async with Runtime(settings, "sandbox") as runtime:
        listener = _listen(settings.sandbox_host, settings.sandbox_port)
        with contextlib.closing(listener), contextlib.closing(Store(settings.data_dir / "sandbox")) as store:
            ctx = Context(
                store=store,
                faults=Faults(store),
                settings=sandbox_settings(settings),
                base_url=settings.sandbox_url or _address(settings, listener),
            )
            runner = web.AppRunner(build_app(ctx, MODULES), access_log=None, shutdown_timeout=_SHUTDOWN_S)
            await runner.setup()
            try:
                await web.SockSite(runner, listener, backlog=_BACKLOG).start()
                runtime.announce(sandbox_url=ctx.base_url)
                log.info("sandbox_started", chat=f"{ctx.base_url}/")
                runtime.ready()
                await runtime.wait()
            finally:
                await runner.cleanup()


def sandbox_settings(settings: Settings) -> SandboxSettings:
    hmac_key = next(iter(settings.kie_webhook_hmac_key), None)
    return SandboxSettings(
        bot_token=settings.telegram_token.get_secret_value(),
        yookassa_shop_id=settings.yookassa_shop,
        yookassa_secret_key=settings.yookassa_secret.get_secret_value(),
        knobs={
            "yookassa_notification_url": settings.public_base + YOOKASSA_PATH,
            "callback_hmac_key": hmac_key.get_secret_value() if hmac_key else "",
            "render_seconds": settings.sandbox_render_seconds,
        },
    )


def _listen(host: str, port: int) -> socket.socket:
    # Bound before anything starts: the address is part of what the sandbox tells others.
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StartError(f"SANDBOX_PORT: cannot listen on {host}:{port}: {error.strerror or error}") from None


def _address(settings: Settings, listener: socket.socket) -> str:
    port: int = listener.getsockname()[1]
    return settings.sandbox_base.rpartition(":")[0] + f":{port}"
