"""Whether the streams are what the log says, as far as publishing must know: asked by whoever writes them.

The stream's own last ID is the cursor. It is believed only if the log agrees: the position is there, with the
hash that the stream's entry carries.
"""

from events.envelope import GENESIS, Cursor
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.streams.entries import NO_ID, position_of
from services.streams.publisher.errors import StreamMismatchError
from services.streams.publisher.recreate import StreamMaker
from services.streams.publisher.scripts import StreamState

query = load_queries("services.streams.publisher")

BEHIND_EVENTS_MAX = 1_000_000
"""Streams further behind than this (an old backup was loaded) are made anew: new orders must not wait."""


class ConsistencyCheck:
    """Compares what the streams hold with the log. Changes nothing."""

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
        """Why the streams must be made anew; None when publishing can go on after the cursor."""
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
