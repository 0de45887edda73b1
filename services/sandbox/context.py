"""What every sandboxed API is given: memory, faults, settings, its own address, time, background tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import aiohttp
import structlog

from services.sandbox.store import Store

log = structlog.get_logger()

Part = TypeVar("Part")


class Fault(Protocol):
    """One fault to act out now: its name (`429`, `html_502`, `drop_after`, ...) and its arguments."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> Mapping[str, Any]: ...


class FaultSource(Protocol):
    """Where an API asks, once per call, whether it goes wrong. `services.sandbox.faults.Faults` is one."""

    def take(self, api: str, call: str, **context: str) -> Fault | None: ...


class NoFaults:
    """Nothing ever goes wrong; for tests of a single API."""

    def take(self, api: str, call: str, **context: str) -> Fault | None:
        return None


class Clock(Protocol):
    """Time, so that a test can move 24 hours in a millisecond."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class WallClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class ManualClock:
    """Time that moves only when told; sleepers wake in the order of their deadlines."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, delay_s: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + delay_s, woken))
        await woken

    def advance(self, delay_s: float) -> None:
        self._now += delay_s
        due = sorted((s for s in self._sleepers if s[0] <= self._now), key=lambda sleeper: sleeper[0])
        self._sleepers = [s for s in self._sleepers if s[0] > self._now]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)


@dataclass
class SandboxSettings:
    """Keys the sandbox accepts and how it starts; what the control API changes later is in the store."""

    bot_token: str = "111111:sandbox"  # noqa: S105 - opens nothing but the sandbox
    kie_api_keys: tuple[str, ...] = ("sandbox-key-1",)
    kie_webhook_hmac_key: str = ""
    openai_api_key: str = "sk-sandbox"
    yookassa_shop_id: str = "100500"
    yookassa_secret_key: str = "test_sandbox"  # noqa: S105
    yookassa_notification_url: str = ""  # what a shop's owner would set in the cabinet
    render_seconds: float = 6.0
    # Messages per second to one chat, and how many may come at once. Telegram's own limit is about 1;
    # generous here, so that only a test that asks for it meets a 429.
    telegram_chat_rate: float = 200.0
    telegram_chat_burst: int = 1000


@dataclass
class Context:
    """Shared by all modules of one sandbox.

    `base_url` has no trailing slash and no API prefix (`http://127.0.0.1:8081`); it is set when the socket is
    bound, so read it when a request comes, not when routes are made.
    """

    store: Store
    faults: FaultSource = field(default_factory=NoFaults)
    settings: SandboxSettings = field(default_factory=SandboxSettings)
    base_url: str = "http://127.0.0.1:8081"
    clock: Clock = field(default_factory=WallClock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)
    _starters: list[Callable[[], Awaitable[None]]] = field(default_factory=list, repr=False)
    _http: aiohttp.ClientSession | None = field(default=None, repr=False)
    _parts: dict[type[Any], Any] = field(default_factory=dict, repr=False)

    def part(self, kind: type[Part], make: Callable[[Context], Part]) -> Part:
        """The one instance of `kind` in this sandbox, made at first use: how modules share their state."""
        if kind not in self._parts:
            self._parts[kind] = make(self)
        part: Part = self._parts[kind]
        return part

    def on_start(self, starter: Callable[[], Awaitable[None]]) -> None:
        """Have `starter` awaited once the server listens: the place to resume what a restart interrupted."""
        self._starters.append(starter)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run in the background until done or the sandbox stops; a failure is logged, not swallowed."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sandbox_task_failed", task=task.get_name(), exc_info=error)

    def http(self) -> aiohttp.ClientSession:
        """The client for what the sandbox sends out itself: webhooks, callbacks, media by URL."""
        if self._http is None or self._http.closed:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30, connect=5))
        return self._http

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
