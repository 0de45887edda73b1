"""Compares the streams with the log, entry by entry."""

from typing import TYPE_CHECKING, Any, cast

import asyncpg
import msgspec
from redis.asyncio import Redis

from events.envelope import Recorded
from events.streams import job_of
from ledger.log import LogReader
from projections.problems import Findings, Problem
from services.shared.streams import (
    JOB_TYPES,
    JOBS,
    LEDGER,
    JobEntry,
    StreamError,
    decode_entry,
    decode_job,
    position_of,
)

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

_PAGE = 500
_EVENTS_AT = "SELECT position, stream, type FROM events WHERE position = ANY ($1::bigint[])"


class StreamReport(msgspec.Struct, frozen=True):
    """What was compared. `behind` events of the log are not published yet, which is no problem by itself."""

    ledger_entries: int
    jobs_entries: int
    behind: int
    problems: list[Problem]


async def check_streams(redis: Redis, pool: "Pool") -> StreamReport:
    """Whether every entry of both streams is what the log holds, and every unfinished job is in `jobs`.

    May run while everything else does.
    """
    check = _StreamCheck(redis, pool)
    await check.ledger()
    await check.jobs()
    await check.unfinished()
    head = await check.reader.head()
    behind = max(head.position - check.last, 0)
    return StreamReport(check.ledger_entries, len(check.in_jobs), behind, check.findings.problems)


class _StreamCheck:
    def __init__(self, redis: Redis, pool: "Pool") -> None:
        self._redis = redis
        self._pool = pool
        self.reader = LogReader(pool)
        self.findings = Findings()
        self.ledger_entries = 0
        self.last = 0
        self.in_jobs: set[int] = set()

    async def ledger(self) -> None:
        """Dense, and each entry equal to the row of the log, down to the text."""
        after = "-"
        while page := await self._page(LEDGER, after):
            known = [position for entry, _ in page if (position := position_of(entry)) is not None]
            rows = await self.reader.events_after(min(known) - 1, len(page)) if known else []
            stored = {row.position: row for row in rows}
            for entry, fields in page:
                await self._ledger_entry(entry, fields, stored)
            self.ledger_entries += len(page)
            after = "(" + page[-1][0].decode()

    async def _ledger_entry(
        self, entry: bytes, fields: dict[bytes, bytes], stored: dict[int, Recorded]
    ) -> None:
        try:
            recorded = decode_entry(entry, fields)
        except StreamError as error:
            self._wrong(position_of(entry), str(error))
            return
        position = recorded.position
        if self.last and position != self.last + 1 and not await self._trimmed_after(self.last):
            self._wrong(position, f"{LEDGER} has {position} after {self.last}")
        self.last = position
        if recorded != stored.get(position):
            self._wrong(position, f"{LEDGER} and log differ at position {position}")

    async def _trimmed_after(self, position: int) -> bool:
        """Whether the stream was cut while we read it, so that what we read last is gone."""
        first = await self._page(LEDGER, "-", count=1)
        return not first or (position_of(first[0][0]) or 0) > position

    async def jobs(self) -> None:
        """Each entry stands for an event of the log that generation must act on."""
        after = "-"
        while page := await self._page(JOBS, after):
            found: list[JobEntry] = []
            for entry, fields in page:
                try:
                    found.append(decode_job(entry, fields))
                except StreamError as error:
                    self._wrong(position_of(entry), str(error))
            positions = [entry.position for entry in found]
            stored = {row["position"]: row for row in await self._pool.fetch(_EVENTS_AT, positions)}
            for job in found:
                row = stored.get(job.position)
                is_event = row is not None and (job_of(row["stream"]), row["type"]) == (job.job, job.type)
                if not is_event or job.type not in JOB_TYPES:
                    self._wrong(job.position, f"{JOBS} and log differ at position {job.position}")
            self.in_jobs.update(positions)
            after = "(" + page[-1][0].decode()

    async def unfinished(self) -> None:
        """Every unfinished job that was published is still in `jobs`."""
        missing = await self._missing()
        if missing:  # it may have ended, and its entry been trimmed, after we had read the stream
            still_open = await self._missing()
            for position, job in sorted(missing.items() & still_open.items()):
                self._wrong(position, f"unfinished job {job} is not in {JOBS}")

    async def _missing(self) -> dict[int, str]:
        found: dict[int, str] = {}
        after = 0
        while page := await self.reader.open_jobs(after, limit=_PAGE):
            found |= {job.position: job.job for job in page}
            after = page[-1].position
        return {p: job for p, job in found.items() if p <= self.last and p not in self.in_jobs}

    async def _page(
        self, stream: str, after: str, count: int = _PAGE
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return cast(Any, await self._redis.xrange(stream, after, "+", count=count)) or []

    def _wrong(self, position: int | None, message: str) -> None:
        self.findings.add("streams", position, message)
