"""Shared reads of the log for projections at nearly the same position.

The first to come to a place reads; others at that place wait for it, and those a little behind take it from
memory. A projection that is far behind (new, or restored) reads for itself.
"""

import asyncio
from typing import Protocol

from events.envelope import GENESIS, Cursor, Recorded

KEPT_EVENTS = 5000
KEPT_S = 2.0
"""Longer than anyone is a little behind, shorter than a database takes to be put back to an earlier time."""


class EventSource(Protocol):
    """Events after a cursor, dense and verified; see services.streams.feed.Feed."""

    async def batch(self, after: Cursor, *, limit: int = ..., wait_s: float = ...) -> list[Recorded]: ...


class SharedFeed:
    def __init__(self) -> None:
        self._before = GENESIS
        self._events: list[Recorded] = []
        self._read_at = 0.0
        self._reading: dict[Cursor, asyncio.Task[list[Recorded]]] = {}

    def of(self, source: EventSource) -> "SharedSource":
        return SharedSource(self, source)

    async def batch(self, source: EventSource, after: Cursor, limit: int, wait_s: float) -> list[Recorded]:
        """Events after the cursor: from memory, from a read under way, or from the source."""
        if known := self._known(after, limit):
            return known
        reading = self._reading.get(after)
        if reading is None:
            reading = asyncio.ensure_future(source.batch(after, limit=limit, wait_s=wait_s))
            self._reading[after] = reading
            reading.add_done_callback(lambda done: self._keep(after, done))
        # Whoever is cancelled leaves the others their answer.
        return (await asyncio.shield(reading))[:limit]

    def _known(self, after: Cursor, limit: int) -> list[Recorded]:
        if asyncio.get_running_loop().time() - self._read_at > KEPT_S:
            self._events = []
        index = after.position - self._before.position
        if not 0 <= index < len(self._events) or self._place(index) != after:
            return []
        return self._events[index : index + limit]

    def _place(self, index: int) -> Cursor:
        return self._events[index - 1].cursor if index else self._before

    def _keep(self, after: Cursor, reading: asyncio.Task[list[Recorded]]) -> None:
        del self._reading[after]
        if reading.cancelled() or reading.exception() is not None or not reading.result():
            return
        if self._events and self._place(len(self._events)) == after:
            self._events += reading.result()
            if surplus := max(0, len(self._events) - KEPT_EVENTS):
                self._before = self._place(surplus)
                del self._events[:surplus]
        elif not self._events or after.position > self._before.position:
            self._before, self._events = after, list(reading.result())
        else:
            return  # who is far behind does not take away what the others are about to ask for
        self._read_at = reading.get_loop().time()


class SharedSource:
    def __init__(self, common: SharedFeed, source: EventSource) -> None:
        self._common = common
        self._source = source

    async def batch(self, after: Cursor, *, limit: int = 500, wait_s: float = 1.0) -> list[Recorded]:
        """As the source's own; may return sooner when another began to wait before."""
        return await self._common.batch(self._source, after, limit, wait_s)
