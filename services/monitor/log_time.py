"""Measures whether the log's time is ahead of the clocks: it never falls, so once ahead it stays ahead.

While it is, nothing becomes due in time: lots end and deadlines pass by a clock that does not move.
"""

import time

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import LOG_AHEAD

query = load_queries("services.monitor")


class LogTime:
    """`run_once` every few seconds. The monitor's own clock tells while the database's is still wrong."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        """Set the gauges. Raises what asyncpg raises."""
        row = await self._pool.fetchrow(query("log_time"))
        if row is not None:
            LOG_AHEAD.labels("database").set(row["log_s"] - row["database_s"])
            LOG_AHEAD.labels("monitor").set(row["log_s"] - time.time())
        return 0
