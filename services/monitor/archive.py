"""Whether Postgres gets its WAL archived: without that nothing after the last backup can be restored."""

from typing import TYPE_CHECKING

import asyncpg

from services.monitor.metrics import ARCHIVE_FAILED_AT, ARCHIVED_AT
from services.monitor.sql import query

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class Archive:
    """`run_once` now and then. Where nothing is archived, or by others, both times are 0."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def run_once(self) -> int:
        """Set the gauges. Raises what asyncpg raises."""
        row = await self._pool.fetchrow(query("archived"))
        assert row is not None
        ARCHIVED_AT.set(row["archived_at_s"] or 0)
        ARCHIVE_FAILED_AT.set(row["failed_at_s"] or 0)
        return 0
