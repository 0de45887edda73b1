"""Cache of folded stream states between batches, and their freshness.

An entry was complete when our last commit was at position `seen`. It is fresh as long as no other process has
committed since: `foreign` is the newest position that was not ours.
"""

from collections.abc import Iterable

from events.envelope import GENESIS, Cursor
from ledger.decider import State

Entry = tuple[int, State, int]
"""Version, state, seen."""


class StreamCache:
    """At most `size_max` states; the older half goes when full."""

    def __init__(self, size_max: int = 50_000) -> None:
        self.entries: dict[str, Entry] = {}
        self.cursor: Cursor = GENESIS
        self._foreign = 0
        self._size_max = size_max

    def drop(self) -> None:
        """Drop every state: after an error none may be trusted.

        Where our last commit was stays known: the broken connection may come back to a log that ends before
        it.
        """
        self.entries.clear()
        self._foreign = 0

    def went_back(self) -> None:
        """The log does not hold our last commit any more: drop that too."""
        self.drop()
        self.cursor = GENESIS

    def missing(self, streams: Iterable[str]) -> list[str]:
        return [stream for stream in streams if stream not in self.entries]

    def put(self, stream: str, version: int, state: State) -> None:
        """Keep what was read outside the lock, as of our last commit."""
        self.entries[stream] = (version, state, self.cursor.position)

    def observe(self, head: Cursor) -> bool:
        """Under the lock: a head other than our last commit is another's write."""
        if head == self.cursor:
            return False
        self._foreign = head.position
        return True

    def stale(self, streams: Iterable[str]) -> list[str]:
        """Streams that others may have written to since they were read."""
        return [stream for stream in streams if self.entries[stream][2] < self._foreign]

    def refreshed(self, head: Cursor, fresh: dict[str, tuple[int, State]]) -> None:
        """Under the lock: these states are complete at `head`."""
        for stream, (version, state) in fresh.items():
            self.entries[stream] = (version, state, head.position)

    def committed(self, cursor: Cursor, changed: dict[str, tuple[int, State]]) -> None:
        """Our batch is durable: new states, `cursor` is the head."""
        self.refreshed(cursor, changed)
        self.cursor = cursor
        if len(self.entries) > self._size_max:
            for stream in list(self.entries)[: self._size_max // 2]:
                del self.entries[stream]
