"""Where publishing goes on, or from where the streams are made anew.

The stream's own last ID is the cursor. It is believed only if the log agrees: the position is there, with the
hash that the stream's entry carries.
"""

from typing import TYPE_CHECKING

import asyncpg

from events.envelope import GENESIS, Cursor
from ledger.log import LogReader
from services.relay import metrics
from services.relay.sql import query
from services.shared.publishing.errors import StreamDisagrees
from services.shared.publishing.making import StreamMaker
from services.shared.publishing.scripts import Place, Scripts, StreamState
from services.shared.streams import NO_ID, entry_id, position_of

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

BEHIND_EVENTS_MAX = 1_000_000
"""Streams further behind than this (an old backup was loaded) are made anew: new orders must not wait."""


class Recovery:
    """Compares streams and log and says where to go on.

    `reach_back` bounds how much history is published again after a wipe: consumers that need more read it
    from Postgres.
    """

    def __init__(self, pool: "Pool", scripts: Scripts, *, reach_back: int) -> None:
        self._pool = pool
        self._reader = LogReader(pool)
        self._scripts = scripts
        self._maker = StreamMaker(pool, scripts, reach_back=reach_back)

    async def find_place(self) -> Place | None:
        """The place to publish on from, in streams made anew if need be; None: look again.

        Raises StreamDisagrees when the streams hold what the log does not.
        """
        seen = await self._scripts.state()
        head = await self._reader.head()
        cursor = await self._confirmed(seen, head)
        reason = await self._unusable(seen, cursor, head)
        if reason is None:
            return Place(cursor, seen.jobs_last, seen.epoch)
        place = await self._maker.make_anew(seen, head, reason)
        if place is not None:
            metrics.RECOVERIES.inc()
        return place

    async def _confirmed(self, seen: StreamState, head: Cursor) -> Cursor:
        """The stream's last event as the log has it. Raises StreamDisagrees."""
        published, jobs = position_of(seen.ledger_last), position_of(seen.jobs_last or NO_ID)
        # With a confirmed ledger stream, a strange jobs stream is just made anew.
        if published is None or (published or jobs or 0) > head.position:
            raise StreamDisagrees(
                f"the streams have come to {seen.ledger_last} and {seen.jobs_last or NO_ID}, the log ends at "
                f"{head.position}: the log went back in time, or someone else writes to the streams; "
                "stop and run `neurocards recover`"
            )
        if published == 0:
            return GENESIS
        event = await self._maker.event(published)
        if seen.last is not None and seen.last.hash != event.hash:
            raise StreamDisagrees(
                f"position {published} was published with another hash than the log holds: the log went back "
                "in time; stop and run `neurocards recover`"
            )
        return event.cursor

    async def _unusable(self, seen: StreamState, cursor: Cursor, head: Cursor) -> str | None:
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


def is_at(state: StreamState, place: Place) -> bool:
    """Whether the streams still are where we left them."""
    here = entry_id(place.cursor.position)
    same_hash = state.last is None or state.last.hash == place.cursor.hash
    same = (state.ledger_last, state.jobs_last, state.epoch) == (here, place.jobs_last, place.epoch)
    return same and same_hash
