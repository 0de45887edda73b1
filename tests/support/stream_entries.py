"""The streams as relay and workers leave them, entry by entry, so that a test can lose one."""

from typing import TYPE_CHECKING

import asyncpg
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.maintenance.orphaned_jobs import OrphanedJobs
from services.platform.redis_keys import JOBS, LEDGER
from services.streams.entries import GENERATION, entry_id, job_entry

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class StreamEntries:
    """Relay and workers as far as the streams show them."""

    def __init__(self, redis: Redis, ledger: Ledger, pool: "Pool") -> None:
        self.redis = redis
        self._ledger = ledger
        self._pool = pool
        self._published = 0

    async def publish(self, *, jobs: bool = True) -> None:
        """All there is, as the relay does it; not to `jobs` when that is to be lost."""
        if not await self.redis.exists(JOBS):
            await self.redis.xgroup_create(JOBS, GENERATION, id="0", mkstream=True)
        for event in await self._ledger.read.events_after(self._published, 10_000):
            self._published = event.position
            await self.redis.xadd(LEDGER, {"event": "x"}, id=entry_id(event.position))
            entry = job_entry(event)
            if jobs and entry is not None:
                await self.redis.xadd(
                    JOBS, {"job": entry.job, "type": entry.type}, id=entry_id(event.position)
                )

    async def deliver(self, entries: int = 1000) -> None:
        await self.redis.xreadgroup(GENERATION, "w1", {JOBS: ">"}, count=entries)

    async def entry(self, job: str, number: int = 0) -> str:
        """The ID of the job's first entry, or of that of its reissue `number`."""
        rows = await self._pool.fetch(
            "SELECT position FROM events WHERE stream = $1 AND type IN ('JobQueued', 'JobReissued')"
            " ORDER BY position",
            f"job-{job}",
        )
        return entry_id(rows[number]["position"])

    def monitor(self, redis: Redis | None = None, *, unmoved_s: float = 0.0) -> OrphanedJobs:
        return OrphanedJobs(self._ledger, self._pool, redis or self.redis, unmoved_s=unmoved_s)
