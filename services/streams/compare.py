"""Compare streams with the log, entry by entry, checking the chain."""

from collections.abc import Callable
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from events.envelope import Cursor, Recorded
from events.stream_names import job_of
from ledger.log.hash_chain import follows
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.verify.findings import Findings, Problem
from services.platform.redis_keys import JOBS, LEDGER
from services.streams.entries import JOB_TYPES, JobEntry, StreamError, decode_entry, decode_job, position_of

query = load_queries("services.streams")

Told = Callable[[int], None]

_PAGE = 500


class StreamReport(msgspec.Struct, frozen=True):
    """Result: `first` … `last` of `ledger`, 0 without any; `behind` events unpublished."""

    ledger_entries: int
    jobs_entries: int
    behind: int
    problems: list[Problem]
    first: int = 0
    last: int = 0
    found: int = 0
    """How many problems there are; not all may be listed."""


async def check_streams(redis: Redis, pool: Pool, told: Told = lambda _: None) -> StreamReport:
    """Compare both streams with the log, also while it grows. `told` hears positions."""
    check = _StreamCheck(redis, pool)
    await check.ledger(told)
    last = check.cursor.position if check.cursor else 0
    await check.jobs()
    await check.unfinished(last)
    head = await check.reader.head()
    behind = max(head.position - last, 0)
    findings = check.findings
    return StreamReport(
        check.ledger_entries, len(check.in_jobs), behind, findings.problems, check.first, last, findings.count
    )


async def jobs_problem(redis: Redis, pool: Pool, published: int) -> str | None:
    """Problem of `jobs`, with `ledger` published up to a position, or None."""
    check = _StreamCheck(redis, pool)
    await check.jobs()
    await check.unfinished(published)
    return check.findings.problems[0].message if check.findings.problems else None


class _StreamCheck:
    def __init__(self, redis: Redis, pool: Pool) -> None:
        self._redis = redis
        self._pool = pool
        self.reader = LogReader(pool)
        self.findings = Findings()
        self.ledger_entries = 0
        self.first = 0
        self.cursor: Cursor | None = None
        self.in_jobs: set[int] = set()

    async def ledger(self, told: Told) -> None:
        """Dense, chained, each entry equal to the log's row."""
        after = "-"
        while page := await self._page(LEDGER, after):
            known = [position for entry, _ in page if (position := position_of(entry)) is not None]
            stored = {row.position: row for row in await self.reader.events_at(known)}
            for entry, fields in page:
                await self._ledger_entry(entry, fields, stored)
            self.ledger_entries += len(page)
            after = "(" + page[-1][0].decode()
            told(self.cursor.position if self.cursor else 0)

    async def _ledger_entry(
        self, entry: bytes, fields: dict[bytes, bytes], stored: dict[int, Recorded]
    ) -> None:
        try:
            recorded = decode_entry(entry, fields)
        except StreamError as error:
            self._wrong(position_of(entry), str(error))
            return
        position, before = recorded.position, self.cursor
        self.first = self.first or position
        self.cursor = recorded.cursor
        row = stored.get(position)
        if recorded != row:
            differs = (
                "the log has none" if row is None else f"{', '.join(_differences(recorded, row))} differ"
            )
            self._wrong(position, f"{LEDGER} and log differ at position {position}: {differs}")
        if before is None:
            return
        if position == before.position + 1:
            if not follows(before.hash, recorded):
                self._wrong(position, f"{LEDGER}: the hash at {position} does not follow from the one before")
        elif not await self._trimmed_after(before.position):
            self._wrong(position, f"{LEDGER} has {position} after {before.position}")

    async def _trimmed_after(self, position: int) -> bool:
        """Whether the stream was trimmed past what we read last."""
        first = await self._page(LEDGER, "-", count=1)
        return not first or (position_of(first[0][0]) or 0) > position

    async def jobs(self) -> None:
        """Each entry is of an event that generation acts on."""
        after = "-"
        while page := await self._page(JOBS, after):
            found: list[JobEntry] = []
            for entry, fields in page:
                try:
                    found.append(decode_job(entry, fields))
                except StreamError as error:
                    self._wrong(position_of(entry), str(error))
            positions = [entry.position for entry in found]
            stored = {row["position"]: row for row in await self._pool.fetch(query("events_at"), positions)}
            for job in found:
                row = stored.get(job.position)
                is_event = row is not None and (job_of(row["stream"]), row["type"]) == (job.job, job.type)
                if not is_event or job.type not in JOB_TYPES:
                    self._wrong(job.position, f"{JOBS} and log differ at position {job.position}")
            self.in_jobs.update(positions)
            after = "(" + page[-1][0].decode()

    async def unfinished(self, published: int) -> None:
        missing = await self._missing(published)
        if missing:  # it may have ended, and its entry been trimmed, after we had read the stream
            still_open = await self._missing(published)
            for position, job in sorted(missing.items() & still_open.items()):
                self._wrong(position, f"unfinished job {job} is not in {JOBS}")

    async def _missing(self, published: int) -> dict[int, str]:
        found: dict[int, str] = {}
        after = 0
        while page := await self.reader.open_jobs(after, limit=_PAGE):
            found |= {job.position: job.job for job in page}
            after = page[-1].position
        return {p: job for p, job in found.items() if p <= published and p not in self.in_jobs}

    async def _page(
        self, stream: str, after: str, count: int = _PAGE
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return cast(Any, await self._redis.xrange(stream, after, "+", count=count)) or []

    def _wrong(self, position: int | None, message: str) -> None:
        self.findings.add("streams", position, message)


def _differences(entry: Recorded, row: Recorded) -> list[str]:
    return [name for name in Recorded.__struct_fields__ if getattr(entry, name) != getattr(row, name)]
