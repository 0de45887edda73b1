"""The ledger's time in this process: deadlines and retries go by it."""

import time

import asyncpg

SYNC_EVERY_S = 20.0


class LedgerClock:
    """The database's clock, synchronized now and then, monotonic in between. A wrong wall clock on this
    machine changes nothing, and neither does one that is set."""

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
