"""Whether Postgres gets its WAL archived: without that nothing after the last backup can be restored."""

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import ARCHIVE_FAILED_AT, ARCHIVED_AT

query = load_queries("services.maintenance")


class Archive:
    """`run_once` now and then. Where nothing is archived, or by others, both times are 0."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        """Set the gauges. Raises what asyncpg raises."""
        row = await self._pool.fetchrow(query("archived"))
        assert row is not None
        ARCHIVED_AT.set(row["archived_at_s"] or 0)
        ARCHIVE_FAILED_AT.set(row["failed_at_s"] or 0)
        return 0
