"""Measures what is owed and not sent yet."""

from typing import TYPE_CHECKING

import asyncpg

from services.notifier.metrics import OLDEST_PENDING_AT, PENDING
from services.notifier.sql import query

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class Backlog:
    """Give `run_once` to `repeat` every few seconds. `pending` is None until the first look."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self.pending: int | None = None

    async def run_once(self) -> int:
        """Count, and set the gauges. Raises what asyncpg raises."""
        row = await self._pool.fetchrow(query("deliveries_pending"))
        assert row is not None
        self.pending = row["pending"]
        PENDING.set(row["pending"])
        OLDEST_PENDING_AT.set(row["oldest_at_s"])
        return 0
