"""Folded states of streams, kept between batches, and how far each is known to be fresh.

An entry was complete when our last commit was at position `seen`. It needs no reading as long as nobody else
has committed since: `foreign` is the newest position that was not ours.
"""

from collections.abc import Iterable

from events.envelope import GENESIS, Cursor
from ledger.decider import State

Entry = tuple[int, State, int]
"""Version, state, seen."""


class StreamCache:
    """At most `size_max` states; the older half goes when it is full."""

    def __init__(self, size_max: int = 50_000) -> None:
        self.entries: dict[str, Entry] = {}
        self.cursor: Cursor = GENESIS
        self._foreign = 0
        self._size_max = size_max

    def drop(self) -> None:
        """Forget every state: after an error none may be trusted.

        Where our last commit was stays known: the connection that broke may come back to a log that ends
        before it.
        """
        self.entries.clear()
        self._foreign = 0

    def went_back(self) -> None:
        """The log does not hold our last commit any more: forget that too."""
        self.drop()
        self.cursor = GENESIS

    def missing(self, streams: Iterable[str]) -> list[str]:
        """The streams of which nothing is known."""
        return [stream for stream in streams if stream not in self.entries]

    def put(self, stream: str, version: int, state: State) -> None:
        """Keep what was read outside the lock, as of our last commit."""
        self.entries[stream] = (version, state, self.cursor.position)

    def observe(self, head: Cursor) -> bool:
        """Under the lock: a head that is not our own last commit means that others have written."""
        if head == self.cursor:
            return False
        self._foreign = head.position
        return True

    def stale(self, streams: Iterable[str]) -> list[str]:
        """The streams that others may have written to since they were read."""
        return [stream for stream in streams if self.entries[stream][2] < self._foreign]

    def refreshed(self, head: Cursor, fresh: dict[str, tuple[int, State]]) -> None:
        """Under the lock: these states are complete at `head`."""
        for stream, (version, state) in fresh.items():
            self.entries[stream] = (version, state, head.position)

    def committed(self, cursor: Cursor, changed: dict[str, tuple[int, State]]) -> None:
        """Our batch is durable: these are the new states, `cursor` is the head."""
        self.refreshed(cursor, changed)
        self.cursor = cursor
        if len(self.entries) > self._size_max:
            for stream in list(self.entries)[: self._size_max // 2]:
                del self.entries[stream]
