"""What a process may do for a while only: the turn to fetch, its claims of chats.

The server counts a lease from later on than we do, and we act in a part of it alone, on a clock that goes on
while the machine is suspended: a frozen process sees by itself that its lease is over before it does anything
more (docs/decisions/frozen.md).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

import structlog
from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import TelegramMethod

from ledger.postgres import DATABASE_ERRORS, TRANSIENT
from services.bot.inbox.store import Inbox
from services.platform.periodic import sleep

logger = structlog.get_logger()

PING_S: Final = 5.0
_RELEASE_S: Final = 0.5
_MARGIN: Final = 0.9
"""The part of the lease in which we act: Postgres counts from later on than we do, and clocks drift."""
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Works until the event is set: the lease is over, or the process ends."""


def lease_clock_s() -> float:
    return time.clock_gettime(_CLOCK)


class Lease(asyncio.Event):
    """Set when the lease is over. Who looks sees that at once, whatever the loop has come to."""

    def __init__(self, lease_s: float, asked_at_s: float) -> None:
        super().__init__()
        self._lease_s = lease_s * _MARGIN
        self._until_s = asked_at_s + self._lease_s
        self._lapsed = False

    def renew(self, asked_at_s: float) -> None:
        """Count from then on; what has lapsed stays so: another process may have it by now."""
        if not self.lapsed:
            self._until_s = asked_at_s + self._lease_s

    def end(self) -> None:
        """Give it back: from now on it counts as lapsed."""
        self._lapsed = True
        self.set()

    @property
    def lapsed(self) -> bool:
        self._lapsed = self._lapsed or lease_clock_s() > self._until_s
        return self._lapsed

    def is_set(self) -> bool:
        if self.lapsed:
            self.set()
        return super().is_set()


HELD: Final[ContextVar[Lease | None]] = ContextVar("held", default=None)
"""The lease under which the running task works."""


async def hold(
    lease: Lease, stop: asyncio.Event, work: Work, renew: Callable[[], Awaitable[Any]], ping_s: float
) -> None:
    """Work under a lease, renewed every `ping_s` seconds until `stop`; what the work raises comes through."""
    keeper = asyncio.create_task(_keep(lease, stop, renew, ping_s), name="lease")
    token = HELD.set(lease)
    try:
        await work(lease)
    finally:
        HELD.reset(token)
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


async def _keep(
    lease: Lease, stop: asyncio.Event, renew: Callable[[], Awaitable[Any]], ping_s: float
) -> None:
    trouble = ""
    try:
        while True:
            await sleep(ping_s, stop)
            asked_at_s = lease_clock_s()
            if stop.is_set() or lease.is_set():
                break
            try:
                async with asyncio.timeout(ping_s):
                    await renew()
                lease.renew(asked_at_s)
            except DATABASE_ERRORS as error:  # asked again until it has lapsed
                trouble = repr(error)
    finally:
        if lease.lapsed:
            logger.warning("lease_lost", reason=trouble or "this process stood still")
        lease.set()


class ChatClaims:
    """This process's claims of chats: one lease for all, and another owner after each."""

    def __init__(self, inbox: Inbox, stop: asyncio.Event) -> None:
        self._inbox = inbox
        self._stop = stop

    async def run(self, work: Work) -> None:
        """Work, and begin anew when the lease has lapsed; until `stop`."""
        lease_s = self._inbox.lease_s
        while not self._stop.is_set():
            self._inbox.begin()
            lease = Lease(lease_s, lease_clock_s())
            try:
                await hold(lease, self._stop, work, self._inbox.renew, min(PING_S, lease_s / 3))
            finally:
                lease.end()  # a handler that is still in hand, as we were cancelled, says nothing more
                with contextlib.suppress(*TRANSIENT):  # then they lapse
                    async with asyncio.timeout(_RELEASE_S):
                        await self._inbox.release()


class Fence(BaseRequestMiddleware):
    """Refuses calls of a task whose lease has lapsed: another process has the chat, or the turn, by now."""

    async def __call__(
        self, make_request: NextRequestMiddlewareType[Any], bot: Bot, method: TelegramMethod[Any]
    ) -> Any:
        if (lease := HELD.get()) and lease.lapsed:
            raise TelegramNetworkError(method=method, message="another process does this now")
        return await make_request(bot, method)
