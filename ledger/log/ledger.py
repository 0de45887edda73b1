"""The ledger's interface: execute commands, read events and states."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ledger.commands import Command
from ledger.log.appender import Appender
from ledger.log.batch import Receipt
from ledger.log.clock import LogClock
from ledger.log.reader import LogReader
from ledger.postgres import DATABASE_ERRORS, Pool
from ledger.sql import load_queries

query = load_queries("ledger.log")

_NOTIFY_S = 0.005


class Ledger:
    """The only writer. An async context manager: owns the appender, not the pool.

    The login in `database_url` decides what may be appended. `witness` tells an outside company's time in
    epoch microseconds, None where none is known.
    """

    def __init__(
        self, database_url: str, pool: Pool, *, witness: Callable[[], int | None] = lambda: None
    ) -> None:
        self.read = LogReader(pool)
        self._appender = Appender(database_url, LogClock(witness), self._notify)
        self._appended = asyncio.Event()
        self._notifying: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Ledger":
        await self._appender.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._appender.close()
        if self._notifying is not None:
            await asyncio.wait([self._notifying])

    async def execute(self, command: Command, *, key: str) -> Receipt:
        """Execute the command with its idempotency key; its receipt once durable.

        The same key and body give the same receipt for ever, another body raises KeyReusedError. Raises
        RejectedError when a rule says no (the key stays free), LedgerBusyError when the queue is full,
        LedgerUnavailableError when Postgres stays away (ask again with the same key).
        """
        return await self._appender.submit(command, key)

    def _notify(self) -> None:
        """Hint to who LISTENs: never in the append's transaction, at most each five milliseconds."""
        self._appended.set()
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.create_task(self._send_notify())

    async def _send_notify(self) -> None:
        while self._appended.is_set():
            self._appended.clear()
            with suppress(*DATABASE_ERRORS):  # who misses the hint polls
                await self.read.pool.execute(query("notify"))
            await asyncio.sleep(_NOTIFY_S)
