"""Rebuild of the `ledger` stream from Postgres, swapped in atomically.

    look at the live stream ──▶ build a copy up to its end, page by page ──▶ swap, if both end alike
      ▲  (made anew if unusable)                                        │ the live one has grown: a page more
      └──────────── what was built is gone, or the streams are others ──┘

The same IDs, so no reader notices: one waiting at the old stream's end waits at the new one's, and the relay
goes on from there. Every event is checked against the chain while it is read. Races, and what happens then:

    the relay publishes while we build   the copy ends too early, the script says `behind`: the rest is added
    the relay publishes during the swap  the script is one step: before it as above, after it onto the copy
    a relay that was frozen wakes up     it publishes only after the last ID and hash it knows: same as ever
    FLUSHALL between two pages           the next page does not find what was before it: from the start
    FLUSHALL, and streams made anew      the epoch is another one: from the start
    two rebuilds at once                 each has its own copy; the second puts like in the place of like
    we die                               the copy expires
    the log goes back in time            what is read does not follow, or the ends differ: refused, alarm
    somebody else writes to `ledger`     the ends differ: refused, alarm
"""

import secrets
from collections.abc import Callable

import msgspec

from events.envelope import GENESIS, Cursor
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from services.platform.redis_keys import ledger_copy
from services.streams.compare import jobs_problem
from services.streams.entries import encode_entry
from services.streams.publisher.recreate import ConsistencyCheck, StreamMaker
from services.streams.publisher.scripts import (
    Place,
    Scripts,
    StreamMismatchError,
    StreamsBusyError,
    StreamState,
)

PAGE_EVENTS = 1000
KEEP_S = 60
"""A copy nobody goes on building is gone after so long."""
_TRIES = 20
_SWAPS = 200


class Look(msgspec.Struct, frozen=True):
    """Starting point. `reason`: why both streams are made anew first, if they are.

    The new stream holds the events after `after`, up to the live stream's end `last` or later.
    """

    after: int
    last: int
    reason: str | None


class Rebuilt(msgspec.Struct, frozen=True):
    """The stream in place. `made_anew`: why both were made anew before, if they were."""

    first: int
    last: int
    epoch: str
    made_anew: str | None


class Rebuild:
    def __init__(self, pool: Pool, scripts: Scripts, *, entries: int, reach_back: int) -> None:
        self._pool = pool
        self._reader = LogReader(pool)
        self._scripts = scripts
        self._maker = StreamMaker(pool, scripts, reach_back=reach_back)
        self._judge = ConsistencyCheck(pool, self._maker)
        self._entries = entries
        self._progress: Callable[[int], None] = lambda _: None
        self._made_anew: str | None = None

    async def look(self) -> Look:
        """Where a rebuild would begin. Raises StreamMismatchError."""
        seen = await self._scripts.state()
        head = await self._reader.head()
        cursor, reason = await self._judged(seen, head)
        last = cursor.position if reason is None else head.position
        return Look(max(last - self._entries, 0), last, reason)

    async def run(self, progress: Callable[[int], None] = lambda _: None) -> Rebuilt | None:
        """Rebuild; None when the log is empty. `progress` hears positions.

        Raises StreamMismatchError when the streams hold what the log does not, IntegrityError when the log's
        chain is broken, StreamsBusyError when something gets in the way again and again.
        """
        self._progress = progress
        for _ in range(_TRIES):
            place = await self._usable()
            if place is None:
                continue
            if not place.cursor.position:
                return None
            key = ledger_copy(secrets.token_hex(4))
            try:
                built = await self._build(key, place)
            finally:
                await self._scripts.forget(key)
            if built is not None:
                return built
        raise StreamsBusyError("the streams are made anew all the time: stop what does it, and run it again")

    async def _judged(self, seen: StreamState, head: Cursor) -> tuple[Cursor, str | None]:
        """Live stream's end in the log, and why unusable, if so."""
        cursor = await self._judge.confirmed(seen, head)
        reason = await self._judge.unusable(seen, cursor, head)
        if cursor == GENESIS != head:
            reason = reason or "nothing is published"
        return cursor, reason or await jobs_problem(self._scripts.redis, self._pool, cursor.position)

    async def _usable(self) -> Place | None:
        """End of the live stream, made anew if unusable; None: look again."""
        seen = await self._scripts.state()
        head = await self._reader.head()
        cursor, reason = await self._judged(seen, head)
        if reason is None:
            return Place(cursor, seen.jobs_last, seen.epoch)
        place = await self._maker.make_anew(seen, head, reason, without_history=True)
        if place is not None:
            self._made_anew = reason
        return place

    async def _build(self, key: str, place: Place) -> Rebuilt | None:
        after = max(place.cursor.position - self._entries, 0)
        begin = end = (await self._maker.event(after)).cursor if after else GENESIS
        while end != place.cursor:
            events = (await self._reader.following(end, PAGE_EVENTS))[: place.cursor.position - end.position]
            if not events:
                await self._reader.check(place.cursor)  # says that the log went back
                return None
            entries, first = [encode_entry(event) for event in events], events[0].position
            if not await self._scripts.build(key, first, entries, begun=end != begin, keep_s=KEEP_S):
                return None
            end = events[-1].cursor
            self._progress(end.position)
        return await self._swap(key, place.epoch, begin, end)

    async def _swap(self, key: str, epoch: str, begin: Cursor, end: Cursor) -> Rebuilt | None:
        for _ in range(_SWAPS):
            following = await self._reader.following(end, PAGE_EVENTS)
            entries = end.position - begin.position
            what, position = await self._scripts.swap(key, epoch, end, entries, following)
            if position > end.position:
                end = following[position - end.position - 1].cursor
            self._progress(end.position)
            match what:
                case "swapped":
                    return Rebuilt(begin.position + 1, end.position, epoch, self._made_anew)
                case "gone":
                    return None
                case "differs":
                    raise StreamMismatchError(
                        f"the live stream ends otherwise than the log at position {end.position}, so it was "
                        "not exchanged; stop and run `neurocards recover`"
                    )
                case "behind":
                    continue
        raise StreamsBusyError(
            "the stream grows faster than it can be copied: run it again when less is going on"
        )
