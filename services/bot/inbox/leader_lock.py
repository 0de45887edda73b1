"""Leader election by a Postgres session lock: one process at a time.

Two bots that overlap (a rolling deploy) would disturb each other's polling and a chat's order; the second
waits for its turn. Needs a session: not through PgBouncer in transaction mode.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from ledger.postgres import DATABASE_ERRORS
from services.platform.database import connect
from services.platform.errors import StartError
from services.platform.periodic import sleep
from services.platform.settings import Settings

logger = structlog.get_logger()

_ASK_AGAIN_S: Final = 0.5
_PING_S: Final = 5.0

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Works until the event is set: the turn is over, or the process ends."""


class LeaderLock:
    """The turn named by `lock`, a number of its own. `run` works while this process has it."""

    def __init__(self, settings: Settings, name: str, lock: int, stop: asyncio.Event) -> None:
        self._settings = settings
        self._name = name
        self._lock = lock
        self._stop = stop
        self.mine = False
        """Whether this process has the turn."""

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
                if await self._wait(connection):
                    await self._hold(connection, work)
            finally:
                connection.terminate()

    async def _wait(self, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
        """Whether it is our turn now; not when the connection was lost or the process stops."""
        told = False
        while not self._stop.is_set():
            try:
                if await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock):
                    return True
            except DATABASE_ERRORS as error:
                logger.warning("turn_lost", reason=repr(error))
                await sleep(_ASK_AGAIN_S, self._stop)
                return False
            if not told:
                logger.info("turn_awaited", reason="another process handles the updates")
            told = True
            await sleep(_ASK_AGAIN_S, self._stop)
        return False

    async def _hold(self, connection: "asyncpg.Connection[asyncpg.Record]", work: Work) -> None:
        over = asyncio.Event()
        connection.add_termination_listener(lambda _: over.set())
        watcher = asyncio.create_task(self._watch(connection, over), name="turn-watch")
        self.mine = True
        try:
            await work(over)
        finally:
            self.mine = False
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, connection: "asyncpg.Connection[asyncpg.Record]", over: asyncio.Event) -> None:
        """Set `over` on stop or a dead connection, even a silent one."""
        try:
            while not self._stop.is_set():
                await sleep(_PING_S, self._stop)
                if not self._stop.is_set():
                    await connection.fetchval("SELECT 1", timeout=_PING_S)
        except DATABASE_ERRORS as error:
            logger.warning("turn_lost", reason=repr(error))
        finally:
            over.set()
