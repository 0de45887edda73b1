"""Leader election by a Postgres session lock that is a lease: one process at a time.

Two bots that ask for updates at once would disturb each other; the second waits for its turn. Postgres ends a
session that says nothing for LEASE_S, so a frozen bot loses its turn, and sees by its own clock that it did
before it does anything more: docs/decisions/frozen.md. Needs a session: not through PgBouncer in transaction
mode. The session, which each process has, also listens.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg
import structlog

from ledger.postgres import DATABASE_ERRORS
from services.bot.inbox.lease import PING_S, Lease, Work, hold, lease_clock_s
from services.bot.inbox.store import LEASE_S
from services.bot.metrics import FETCHED
from services.platform.database import connect
from services.platform.errors import StartError
from services.platform.periodic import sleep
from services.platform.settings import Settings

logger = structlog.get_logger()

_ASK_AGAIN_S: Final = 0.5

Hear = Callable[[str], None]


class LeaderLock:
    """The turn named by `lock`, a number of its own. `run` works while this process has it.

    `hear` gets what is notified on `channel`, with or without the turn.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        lock: int,
        stop: asyncio.Event,
        lease_s: float = LEASE_S,
        *,
        channel: str = "",
        hear: Hear | None = None,
    ) -> None:
        self._settings = settings
        self._lease_s = lease_s
        self._turn: Lease | None = None
        self._name = name
        self._lock = lock
        self._stop = stop
        self._channel, self._hear = channel, hear

    @property
    def mine(self) -> bool:
        """Whether this process has the turn."""
        return self._turn is not None and not self._turn.lapsed

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

    async def _wait(self, connection: "asyncpg.Connection[asyncpg.Record]") -> Lease | None:
        """Our turn; None when the connection was lost or the process stops."""
        told = False
        while not self._stop.is_set():
            try:
                if not told:
                    await connection.execute(f"SET idle_session_timeout = {int(self._lease_s * 1000)}")
                    if hear := self._hear:
                        await connection.add_listener(self._channel, lambda *heard: hear(str(heard[3])))
                asked_at_s = lease_clock_s()
                if await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock):
                    return Lease(self._lease_s, asked_at_s)
            except DATABASE_ERRORS as error:
                logger.warning("turn_lost", reason=repr(error))
                await sleep(_ASK_AGAIN_S, self._stop)
                return None
            if not told:
                logger.info("turn_awaited", reason="another process fetches the updates")
            told = True
            await sleep(_ASK_AGAIN_S, self._stop)
        return None

    async def _hold(self, connection: "asyncpg.Connection[asyncpg.Record]", over: Lease, work: Work) -> None:
        connection.add_termination_listener(lambda _: over.set())
        self._turn = over
        FETCHED.set_to_current_time()
        try:
            ping_s = min(PING_S, self._lease_s / 3)
            await hold(over, self._stop, work, lambda: connection.fetchval("SELECT 1"), ping_s)
        finally:
            self._turn = None
