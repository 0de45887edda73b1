"""The sandbox's web application and shared context: store, faults, settings, clock, tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import structlog
from aiohttp import web

from services.sandbox.faults import Faults
from services.sandbox.store import Store

log = structlog.get_logger()

# A whole request: ten files of an album at the Bot API's 50 MB each is the largest honest one.
REQUEST_SIZE_MAX_BYTES = 520 * 1024 * 1024

Part = TypeVar("Part")


class Clock:
    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


@dataclass
class SandboxSettings:
    """Keys the sandbox accepts, and how its knobs stand at the start."""

    bot_token: str = "111111:sandbox"  # noqa: S105 - opens nothing but the sandbox
    yookassa_shop_id: str = "100500"
    yookassa_secret_key: str = "test_sandbox"  # noqa: S105
    knobs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Context:
    """Shared by all APIs of one sandbox.

    `base_url` has no trailing slash and no API prefix (`http://127.0.0.1:8081`); it is set when the socket is
    bound, so read it when a request comes, not when routes are made.
    """

    store: Store
    faults: Faults
    settings: SandboxSettings = field(default_factory=SandboxSettings)
    base_url: str = "http://127.0.0.1:8081"
    clock: Clock = field(default_factory=Clock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)
    _starters: list[Callable[[], Awaitable[None]]] = field(default_factory=list, repr=False)
    _http: aiohttp.ClientSession | None = field(default=None, repr=False)
    _parts: dict[type[Any], Any] = field(default_factory=dict, repr=False)

    def part(self, kind: type[Part], make: Callable[[Context], Part]) -> Part:
        """The one instance of `kind`, made at first use: how modules share their state."""
        if kind not in self._parts:
            self._parts[kind] = make(self)
        part: Part = self._parts[kind]
        return part

    def on_start(self, starter: Callable[[], Awaitable[None]]) -> None:
        """Await `starter` once the server listens, to resume what a restart interrupted."""
        self._starters.append(starter)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run until the sandbox stops; failures are logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sandbox_task_failed", task=task.get_name(), exc_info=error)

    async def sleep_until(self, at: float) -> None:
        while (left_s := at - self.clock.now()) > 0:
            await self.clock.sleep(left_s)

    def http(self) -> aiohttp.ClientSession:
        if self._http is None or self._http.closed:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30, connect=5))
        return self._http

    async def post(self, url: str, body: dict[str, Any], headers: dict[str, str], timeout_s: float) -> str:
        """POST JSON once; returns the HTTP status, or the error's name without an answer."""
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self.http().post(
                url, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as reply:
                return str(reply.status)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            return type(error).__name__

    async def start(self) -> None:
        for starter in self._starters:
            await starter()

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()


RoutesOf = Callable[[Context], list[web.RouteDef]]


def build_app(ctx: Context, modules: Mapping[str, RoutesOf]) -> web.Application:
    app = web.Application(client_max_size=REQUEST_SIZE_MAX_BYTES)
    for prefix, routes_of in modules.items():
        app.add_routes(
            web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs)
            for route in routes_of(ctx)
        )

    async def background(_: web.Application) -> AsyncIterator[None]:
        await ctx.start()
        yield
        await ctx.stop()

    app.cleanup_ctx.append(background)
    return app


def bearer(request: web.Request) -> str | None:
    """The key in the Authorization header; any non-empty one is good here."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
