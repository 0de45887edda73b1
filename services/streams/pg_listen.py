"""LISTEN for appended events: a hint only, it can die silently, so poll as well."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg

from ledger.log.reader import NOTIFY_CHANNEL
from ledger.postgres import DATABASE_ERRORS
from services.platform.errors import StartError
from services.platform.outage_log import OutageLog

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

LIVENESS_S = 5.0
_TROUBLE = (StartError, *DATABASE_ERRORS)


class LogListener:
    """Sets `wake` after every append and every reconnect.

    `connect` makes a dedicated connection, not through PgBouncer in transaction mode.
    """

    def __init__(self, connect: "Callable[[], Awaitable[Connection]]") -> None:
        self._connect = connect
        self.wake = asyncio.Event()
        self._trouble = OutageLog("listening")

    async def run(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    connection = await self._connect()
                except _TROUBLE as error:
                    self._trouble.met(error)
                    await asyncio.wait([stopped], timeout=1)
                    continue
                try:
                    await self._listen(connection, stopped)
                except _TROUBLE as error:
                    self._trouble.met(error)
                finally:
                    connection.terminate()
        finally:
            stopped.cancel()
            self.wake.set()  # whoever waits shall see the stop

    async def wait(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.wake.wait()
        self.wake.clear()

    async def _listen(self, connection: "Connection", stopped: "asyncio.Task[bool]") -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda *_: lost.set())
        await connection.add_listener(NOTIFY_CHANNEL, lambda *_: self.wake.set())
        self.wake.set()
        self._trouble.over()
        gone = asyncio.create_task(lost.wait())
        try:
            while not stopped.done() and not gone.done():
                await asyncio.wait([stopped, gone], timeout=LIVENESS_S, return_when=asyncio.FIRST_COMPLETED)
                if not stopped.done():
                    await connection.fetchval("SELECT 1", timeout=LIVENESS_S)
        finally:
            gone.cancel()
