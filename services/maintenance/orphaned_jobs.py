"""Orphaned jobs: unfinished, but without a stream entry for a worker; reissued.

An entry can be lost alone: deleted or acknowledged by hand, gone with a consumer, trimmed while pending and
then dropped by the server. Races while looking:

- An entry is delivered between two reads, and seen neither in the stream nor pending: all that is asked of
  Redis about an entry is read in one script.
- The job ends between the look at Postgres and that at Redis, and its entry is acknowledged: only what is
  seen in two looks in a row counts, and the ledger refuses to reissue a job that has ended.
- The relay is behind: whatever is above the stream's last position will be published yet. Without stream or
  group, both will be made anew, with every unfinished job.
- A worker has the job in hand although nothing is pending (trimmed under it). Reissuing it brings one more
  entry, to that worker or to another, whose run then fences the first one: a run is lost, no submission is
  made twice.
- Two processes: both number the reissue by the entries they saw, so it is one command.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import Redis
from structlog.contextvars import bound_contextvars

from ledger.commands import ReissueJob
from ledger.errors import RejectedError
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.maintenance.gauges import redis_breaker
from services.maintenance.metrics import REISSUED, UNCLAIMED
from services.platform.lua import load_script
from services.platform.redis_keys import JOBS, LEDGER
from services.streams.entries import GENERATION, entry_id, position_of

query = load_queries("services.maintenance")

logger = structlog.get_logger()

PAGE_JOBS: Final = 500
REISSUES_MAX: Final = 5
"""Of one job; then something else is wrong, and its deadline must do."""


class Entry(msgspec.Struct, frozen=True):
    pending: bool
    in_stream: bool


class Streams(msgspec.Struct, frozen=True):
    """The streams at one moment: last position published, group's last delivered, entries. `delivered` is
    None when there is no group."""

    published: int
    delivered: int | None
    entries: dict[int, Entry]


class OrphanedJob(msgspec.Struct, frozen=True):
    """An orphaned job and the positions of all its entries."""

    job: str
    account: str
    positions: tuple[int, ...]


def is_reachable(positions: Sequence[int], streams: Streams) -> bool:
    """Whether a worker holds or will get an entry at `positions` (ascending)."""
    if streams.delivered is None or positions[-1] > streams.published:
        return True
    found = ((position, streams.entries[position]) for position in positions)
    return any(e.pending or (e.in_stream and position > streams.delivered) for position, e in found)


class OrphanedJobs:
    """Orphaned jobs; those to which something has happened within `unmoved_s` are left alone."""

    def __init__(self, ledger: Ledger, pool: Pool, redis: Redis, *, unmoved_s: float) -> None:
        self._ledger = ledger
        self._pool = pool
        self._redis = redis
        self._unmoved_s = unmoved_s
        self._script = redis.register_script(load_script(__package__, "entries"))
        self._breaker = redis_breaker("unclaimed jobs", answer_s=None)  # there may be many
        self._seen: set[OrphanedJob] = set()

    async def run_once(self) -> int:
        """Look, and reissue what was orphaned at the last look too; how many. None while Redis is away."""
        before, self._seen = self._seen, set()
        seen = await self._breaker.ask(self.look)
        if seen is None:
            return 0
        self._seen = seen
        twice = self._seen & before
        UNCLAIMED.set(len(twice))
        reissued = 0
        for unclaimed in sorted(twice, key=lambda u: u.positions):
            with bound_contextvars(job=unclaimed.job, account=unclaimed.account):
                reissued += await self._reissue(unclaimed)
        return reissued

    async def look(self) -> set[OrphanedJob]:
        """Every orphaned job to which nothing has happened for a while. Raises RedisError, OSError."""
        found: set[OrphanedJob] = set()
        after = 0
        while page := await self._ledger.read.open_jobs(after, limit=PAGE_JOBS):
            after = page[-1].position
            # Nearly every job has its first entry, so its other events need not be read.
            streams = await self._ask(job.position for job in page)
            doubtful = [job.job for job in page if not is_reachable((job.position,), streams)]
            if doubtful:
                found |= await self._look_closely(doubtful)
        return found

    async def _look_closely(self, jobs: Sequence[str]) -> set[OrphanedJob]:
        rows = await self._pool.fetch(query("entries_of"), jobs, self._unmoved_s)
        suspects = [OrphanedJob(row["job"], row["account"], tuple(row["positions"])) for row in rows]
        if not suspects:
            return set()
        streams = await self._ask(position for suspect in suspects for position in suspect.positions)
        return {suspect for suspect in suspects if not is_reachable(suspect.positions, streams)}

    async def _ask(self, positions: Iterable[int]) -> Streams:
        asked = list(positions)
        ids = [entry_id(position) for position in asked]
        answer: Any = await self._script(keys=[LEDGER, JOBS], args=[GENERATION, *ids])
        published, delivered, *flags = answer
        entries = {
            position: Entry(bool(flag & 1), bool(flag & 2))
            for position, flag in zip(asked, flags, strict=bool(delivered))
        }
        return Streams(position_of(published) or 0, position_of(delivered), entries)

    async def _reissue(self, unclaimed: OrphanedJob) -> int:
        number = len(unclaimed.positions)  # the first is from JobQueued
        if number > REISSUES_MAX:
            logger.error("job_unclaimed_again", reissues=number - 1)
            return 0
        try:
            command = ReissueJob(unclaimed.job, number)
            receipt = await self._ledger.execute(command, key=f"reissue:{unclaimed.job}:{number}")
        except RejectedError as error:  # it has ended, or its time is up
            logger.info("job_not_reissued", reason=str(error))
            return 0
        if receipt.events:
            REISSUED.inc()
            logger.error(
                "job_reissued",
                number=number,
                position=receipt.position,
                before=unclaimed.positions,
            )
        return receipt.events
