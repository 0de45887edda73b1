"""Check streams against the log, or recreate both in a new epoch.

The stream's own last ID is the cursor. It is believed only if the log has the position with the hash that the
stream's entry carries.
"""

import structlog

from events.envelope import GENESIS, Cursor, Recorded
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.streams.entries import NO_ID, JobEntry, entry_id, position_of
from services.streams.publisher.scripts import Place, Scripts, StreamMismatchError, StreamState

query = load_queries("services.streams.publisher")

logger = structlog.get_logger()

OPEN_JOBS_MAX = 300_000
_PAGE_JOBS = 1000
BEHIND_EVENTS_MAX = 1_000_000
"""Streams further behind than this (an old backup was loaded) are made anew: new orders must not wait."""


class StreamMaker:
    """Recreates the streams, with `reach_back` events at most: older ones are in Postgres."""

    def __init__(self, pool: Pool, scripts: Scripts, *, reach_back: int) -> None:
        self._pool = pool
        self._reader = LogReader(pool)
        self._scripts = scripts
        self._reach_back = reach_back

    async def make_anew(
        self, seen: StreamState, head: Cursor, reason: str, *, without_history: bool = False
    ) -> Place | None:
        """Place after the base; None when the streams changed since `seen`.

        `without_history`: the base is the head; a rebuild adds the history.
        """
        position = head.position if without_history else await self.base(head)
        # Read after the head, so that every unfinished job up to the base is seen.
        jobs = await self._open_jobs(position) if position else []
        if len(jobs) >= OPEN_JOBS_MAX:
            position = jobs[-1].position  # too many for one script: the later ones come with their events
        base = await self.event(position) if position else None
        epoch = await self._scripts.recover(seen, base, jobs)
        if epoch is None:
            return None
        # Where no streams were and nobody has read an event, it is a first start: nothing was lost.
        say = logger.warning if position or seen.epoch else logger.info
        say(
            "streams_made_anew", reason=reason, base=position, head=head.position, jobs=len(jobs), epoch=epoch
        )
        jobs_last = entry_id(jobs[-1].position) if jobs else NO_ID
        return Place(base.cursor if base else GENESIS, jobs_last, epoch)

    async def base(self, head: Cursor) -> int:
        needed = await self._pool.fetchval(query("needed_after"))
        wanted = head.position if needed is None else min(needed, head.position)
        return max(wanted, head.position - self._reach_back, 0)

    async def event(self, position: int) -> Recorded:
        """The event there. Raises StreamMismatchError when the log has none."""
        events = await self._reader.events_after(position - 1, 1)
        if not events or events[0].position != position:
            raise StreamMismatchError(
                f"the log has no position {position} any more; run `neurocards recover`"
            )
        return events[0]

    async def _open_jobs(self, up_to: int) -> list[JobEntry]:
        jobs: list[JobEntry] = []
        after, limit = 0, min(_PAGE_JOBS, OPEN_JOBS_MAX)
        while limit and (page := await self._reader.open_jobs(after, up_to, limit)):
            jobs += [JobEntry(job.position, job.job, "JobQueued") for job in page]
            after, limit = page[-1].position, min(_PAGE_JOBS, OPEN_JOBS_MAX - len(jobs))
        return jobs


class ConsistencyCheck:
    """Compares the streams with the log. Changes nothing."""

    def __init__(self, pool: Pool, maker: StreamMaker) -> None:
        self._pool = pool
        self._maker = maker

    async def confirmed(self, seen: StreamState, head: Cursor) -> Cursor:
        """The stream's last event as the log has it. Raises StreamMismatchError."""
        published, jobs = position_of(seen.ledger_last), position_of(seen.jobs_last or NO_ID)
        # With a confirmed ledger stream, a strange jobs stream is just made anew.
        if published is None or (published or jobs or 0) > head.position:
            raise StreamMismatchError(
                f"the streams have come to {seen.ledger_last} and {seen.jobs_last or NO_ID}, the log ends at "
                f"{head.position}: the log went back in time, or someone else writes to the streams; "
                "stop and run `neurocards recover`"
            )
        if published == 0:
            return GENESIS
        event = await self._maker.event(published)
        if seen.last is not None and seen.last.hash != event.hash:
            raise StreamMismatchError(
                f"position {published} was published with another hash than the log holds: the log went back "
                "in time; stop and run `neurocards recover`"
            )
        return event.cursor

    async def unusable(self, seen: StreamState, cursor: Cursor, head: Cursor) -> str | None:
        """Why the streams must be recreated; None: publish on after the cursor."""
        published, jobs = cursor.position, position_of(seen.jobs_last or NO_ID)
        if not seen.epoch or not seen.jobs_last or (published == 0 and await self._maker.base(head)):
            return "a stream is missing"
        if jobs is None or jobs > published:
            return "the jobs stream is ahead of the ledger stream"
        if head.position - published > BEHIND_EVENTS_MAX:
            return f"the streams are {head.position - published} events behind"
        if await self._pool.fetchval(query("newest_open_job"), published) > jobs:
            return "unfinished jobs are missing from the jobs stream"
        return None
