"""The ledger's time as this process knows it: deadlines and retries are its, not this machine's."""

import time

import asyncpg

SYNC_EVERY_S = 20.0


class LedgerClock:
    """The database's clock, asked now and then and counted on by the monotonic clock in between.

    A wrong wall clock on this machine changes nothing, and neither does one that is set.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._offset_us = 0

    def now_us(self) -> int:
        """Epoch microseconds, to within the time of a round trip."""
        return time.monotonic_ns() // 1000 + self._offset_us

    async def sync(self) -> int:
        """Ask the database; 0, as `repeat` wants it. Raises what asyncpg raises."""
        before_us = time.monotonic_ns() // 1000
        now_us = await self._pool.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        after_us = time.monotonic_ns() // 1000
        self._offset_us = now_us - (before_us + after_us) // 2
        return 0
