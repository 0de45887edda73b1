"""Leader election by a Postgres session lock that is a lease: one process at a time.

Two bots that overlap (a rolling deploy) would disturb each other's polling and a chat's order; the second
waits for its turn. Postgres ends a session that says nothing for LEASE_S, so a frozen bot loses its turn, and
sees by its own clock that it did before it does anything more: docs/decisions/frozen.md. Needs a session: not
through PgBouncer in transaction mode.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import structlog
from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import TelegramMethod

from ledger.postgres import DATABASE_ERRORS
from services.bot.metrics import FETCHED
from services.platform.database import connect
from services.platform.errors import StartError
from services.platform.periodic import sleep
from services.platform.settings import Settings

logger = structlog.get_logger()

_ASK_AGAIN_S: Final = 0.5
_PING_S: Final = 5.0
LEASE_S: Final = 15.0
_MARGIN: Final = 0.9
"""The part of the lease in which we act: Postgres counts from later on than we do, and clocks drift."""
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Works until the event is set: the turn is over, or the process ends."""


class Turn(asyncio.Event):
    """Set when the turn is over; its lease may end it.

    Who looks sees that at once, whatever the loop has come to.
    """

    def __init__(self, lease_s: float, asked_at_s: float) -> None:
        super().__init__()
        self._lease_s = lease_s * _MARGIN
        self.renew(asked_at_s)

    def renew(self, asked_at_s: float) -> None:
        self._until_s = asked_at_s + self._lease_s

    @property
    def lapsed(self) -> bool:
        return time.clock_gettime(_CLOCK) > self._until_s

    def is_set(self) -> bool:
        if self.lapsed:
            self.set()
        return super().is_set()


class LeaderLock:
    """The turn named by `lock`, a number of its own. `run` works while this process has it."""

    def __init__(
        self, settings: Settings, name: str, lock: int, stop: asyncio.Event, lease_s: float = LEASE_S
    ) -> None:
        self._settings = settings
        self._lease_s = lease_s
        self._turn: Turn | None = None
        self._name = name
        self._lock = lock
        self._stop = stop

    @property
    def mine(self) -> bool:
        """Whether this process has the turn."""
        return self._turn is not None and not self._turn.lapsed

    @property
    def lapsed(self) -> bool:
        """Whether the turn was lost while its work goes on."""
        return self._turn is not None and self._turn.lapsed

    async def run(self, work: Work) -> None:
        """Wait for the turn, work, and begin anew when it was lost; until `stop`."""
        told = False
        while not self._stop.is_set():
            try:
                connection = await connect(self._settings, f"{self._name}-turn", session=True)
            except StartError as error:
                if not told:
                    logger.warning("turn_unavailable", reason=str(error))
                told = True
                await sleep(_ASK_AGAIN_S, self._stop)
                continue
            told = False
            try:
                if turn := await self._wait(connection):
                    await self._hold(connection, turn, work)
            finally:
                connection.terminate()

    async def _wait(self, connection: "asyncpg.Connection[asyncpg.Record]") -> Turn | None:
        """Our turn; None when the connection was lost or the process stops."""
        told = False
        while not self._stop.is_set():
            try:
                if not told:
                    await connection.execute(f"SET idle_session_timeout = {int(self._lease_s * 1000)}")
                asked_at_s = time.clock_gettime(_CLOCK)
                if await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock):
                    return Turn(self._lease_s, asked_at_s)
            except DATABASE_ERRORS as error:
                logger.warning("turn_lost", reason=repr(error))
                await sleep(_ASK_AGAIN_S, self._stop)
                return None
            if not told:
                logger.info("turn_awaited", reason="another process handles the updates")
            told = True
            await sleep(_ASK_AGAIN_S, self._stop)
        return None

    async def _hold(self, connection: "asyncpg.Connection[asyncpg.Record]", over: Turn, work: Work) -> None:
        connection.add_termination_listener(lambda _: over.set())
        watcher = asyncio.create_task(self._watch(connection, over), name="turn-watch")
        self._turn = over
        FETCHED.set_to_current_time()
        try:
            await work(over)
        finally:
            self._turn = None
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, connection: "asyncpg.Connection[asyncpg.Record]", over: Turn) -> None:
        """Renew the lease; set `over` on stop or a dead connection, even a silent one."""
        ping_s = min(_PING_S, self._lease_s / 3)
        try:
            while not self._stop.is_set():
                await sleep(ping_s, self._stop)
                if not self._stop.is_set():
                    asked_at_s = time.clock_gettime(_CLOCK)
                    await connection.fetchval("SELECT 1", timeout=ping_s)
                    over.renew(asked_at_s)
        except DATABASE_ERRORS as error:
            logger.warning("turn_lost", reason=repr(error))
        finally:
            over.set()


class Fence(BaseRequestMiddleware):
    """Refuses a handler's calls after its turn was lost: another process has the update by now."""

    def __init__(self, lock: LeaderLock) -> None:
        self._lock = lock

    async def __call__(
        self, make_request: NextRequestMiddlewareType[Any], bot: Bot, method: TelegramMethod[Any]
    ) -> Any:
        if self._lock.lapsed:
            raise TelegramNetworkError(method=method, message="another process handles the updates now")
        return await make_request(bot, method)
