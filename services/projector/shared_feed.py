"""Shared reads of the log for projections at nearly the same position.

The first to come to a place reads; others at that place wait for it, and those a little behind take it from
memory. A projection that is far behind (new, or restored) reads for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable

from events.envelope import GENESIS, Cursor, Recorded

KEPT_EVENTS = 5000
KEPT_S = 2.0
"""Longer than anyone is a little behind, shorter than a database takes to be put back to an earlier time."""


Read = Callable[..., Awaitable[list[Recorded]]]
"""Events after a cursor, dense and verified: `Feed.batch`."""


class SharedFeed:
    def __init__(self) -> None:
        self._before = GENESIS
        self._events: list[Recorded] = []
        self._read_at = 0.0
        self._reading: dict[Cursor, asyncio.Task[list[Recorded]]] = {}

    async def batch(
        self, read: Read, after: Cursor, *, limit: int = 500, wait_s: float = 1.0
    ) -> list[Recorded]:
        """Events after the cursor: from memory, from a read under way, or from `read`."""
        if known := self._known(after, limit):
            return known
        reading = self._reading.get(after)
        if reading is None:
            reading = asyncio.ensure_future(read(after, limit=limit, wait_s=wait_s))
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
