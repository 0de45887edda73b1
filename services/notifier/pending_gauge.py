"""Measures what is owed and not sent yet."""

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.notifier.metrics import OLDEST_PENDING_AT, PENDING

query = load_queries("services.notifier")


class Backlog:
    """Give `run_once` to `repeat` every few seconds. `pending` is None until the first look."""

    def __init__(self, pool: Pool) -> None:
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
