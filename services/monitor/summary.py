"""Measures the jobs that are open. By the database's clock, so that the monitor's own does not matter."""

from typing import TYPE_CHECKING

import asyncpg
import msgspec

from services.monitor.metrics import OLDEST_AGE, OLDEST_AT, OPEN, OVERDUE
from services.monitor.sql import query

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class Summary(msgspec.Struct, frozen=True):
    """`oldest_at_s` is epoch seconds, None when no job is open."""

    open_jobs: int
    overdue_jobs: int
    oldest_at_s: float | None
    now_s: float


class OpenJobsSummary:
    """`run_once` every few seconds."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def run_once(self) -> Summary:
        """Read the numbers and set the gauges."""
        row = await self._pool.fetchrow(query("open_jobs_summary"))
        assert row is not None
        found = Summary(*row)
        OPEN.set(found.open_jobs)
        OVERDUE.set(found.overdue_jobs)
        OLDEST_AT.set(found.oldest_at_s or 0)
        OLDEST_AGE.set(0 if found.oldest_at_s is None else max(0.0, found.now_s - found.oldest_at_s))
        return found
