"""The ledger's interface: execute commands, read events and states."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from ledger.commands import Command
from ledger.errors import LedgerError
from ledger.log.append_connection import AppendConnection
from ledger.log.appender import Appender
from ledger.log.batch import Receipt
from ledger.log.clock import LogClock
from ledger.log.primary import Fence, no_fence, require_leading
from ledger.log.reader import LogReader
from ledger.postgres import DATABASE_ERRORS, Pool
from ledger.sql import load_queries

query = load_queries("ledger.log")

_NOTIFY_S = 0.005


class Clocks(msgspec.Struct, frozen=True):
    """Epoch microseconds that the clocks say, and the `outcome` of judging them.

    `head_us` is the newest event's time, 0 for none; `told_us` what another process says of a witness;
    `believed_us` None: no two agree.
    """

    outcome: str
    clock_us: int
    head_us: int
    witness_us: int | None
    told_us: int | None
    believed_us: int | None


class Ledger:
    """The only writer. An async context manager: owns the appender, not the pool.

    The login in `database_url` decides what may be appended. `witness` tells an outside company's time in
    epoch microseconds, None where none is known. `fence` is asked about each primary before it is used.
    """

    def __init__(
        self,
        database_url: str,
        pool: Pool,
        *,
        witness: Callable[[], int | None] = lambda: None,
        fence: Fence = no_fence,
    ) -> None:
        self.read = LogReader(pool)
        self._database_url = database_url
        self._clock = LogClock(witness)
        self._fence = fence
        self._appender = Appender(database_url, self._clock, self._notify, fence=fence)
        self._appended = asyncio.Event()
        self._notifying: asyncio.Task[None] | None = None
        self._notifier: AppendConnection | None = None

    async def __aenter__(self) -> "Ledger":
        await self._appender.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._appender.close()
        if self._notifying is not None:
            await asyncio.wait([self._notifying])
        if self._notifier is not None:
            await self._notifier.close()

    async def execute(self, command: Command, *, key: str) -> Receipt:
        """Execute the command with its idempotency key; its receipt once durable.

        The same key and body give the same receipt for ever, another body raises KeyReusedError. Raises
        RejectedError when a rule says no (the key stays free), LedgerBusyError when the queue is full,
        LedgerUnavailableError when Postgres stays away (ask again with the same key).
        """
        return await self._appender.submit(command, key)

    def now_us(self) -> int:
        """The time that is believed, as last heard, in epoch microseconds."""
        return self._clock.now_us()

    async def clocks(self) -> Clocks:
        """Compare the clocks, and follow the one that is believed.

        Tells others what our witness says, and hears what theirs say. Raises what asyncpg raises.
        """
        clock = self._clock
        row = await self.read.pool.fetchrow(
            query("clocks"), clock.wall_us(), clock.witness(), clock.heard_us()
        )
        assert row is not None
        clocks = Clocks(*row)
        if clocks.told_us is not None:
            clock.hear(clocks.told_us)
        if clocks.believed_us is not None:
            clock.set(clocks.believed_us)
        return clocks

    async def check_primary(self) -> None:
        """Raise TwoPrimariesError when a later primary leads; and what asyncpg raises."""
        await require_leading(self.read.pool, self._fence)

    def _notify(self) -> None:
        """Hint to who LISTENs: never in the append's transaction, at most each five milliseconds."""
        self._appended.set()
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.create_task(self._send_notify())

    async def _send_notify(self) -> None:
        while self._appended.is_set():
            self._appended.clear()
            with suppress(LedgerError, *DATABASE_ERRORS):  # who misses the hint polls
                # Not the pool's: to give one back there costs four statements more.
                if self._notifier is None or self._notifier.closed:
                    self._notifier = await AppendConnection.open(self._database_url, self._clock, no_fence)
                await self._notifier.notify()
            await asyncio.sleep(_NOTIFY_S)
