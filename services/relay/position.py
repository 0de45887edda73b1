"""Where publishing goes on, or from where the streams are made anew."""

from ledger.log.ledger import LogReader
from ledger.postgres import Pool
from services.relay import metrics
from services.streams.entries import entry_id
from services.streams.publisher.consistency import ConsistencyCheck
from services.streams.publisher.recreate import StreamMaker
from services.streams.publisher.scripts import Place, Scripts, StreamState


class Recovery:
    """Compares streams and log and says where to go on.

    `reach_back` bounds how much history is published again after a wipe: consumers that need more read it
    from Postgres.
    """

    def __init__(self, pool: Pool, scripts: Scripts, *, reach_back: int) -> None:
        self._reader = LogReader(pool)
        self._scripts = scripts
        self._maker = StreamMaker(pool, scripts, reach_back=reach_back)
        self._judge = ConsistencyCheck(pool, self._maker)

    async def find_place(self) -> Place | None:
        """The place to publish on from, in streams made anew if need be; None: look again.

        Raises StreamMismatchError when the streams hold what the log does not.
        """
        seen = await self._scripts.state()
        head = await self._reader.head()
        cursor = await self._judge.confirmed(seen, head)
        reason = await self._judge.unusable(seen, cursor, head)
        if reason is None:
            return Place(cursor, seen.jobs_last, seen.epoch)
        place = await self._maker.make_anew(seen, head, reason)
        if place is not None:
            metrics.RECOVERIES.inc()
        return place


def is_at(state: StreamState, place: Place) -> bool:
    """Whether the streams still are where we left them."""
    here = entry_id(place.cursor.position)
    same_hash = state.last is None or state.last.hash == place.cursor.hash
    same = (state.ledger_last, state.jobs_last, state.epoch) == (here, place.jobs_last, place.epoch)
    return same and same_hash
