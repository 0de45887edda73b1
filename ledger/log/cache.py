"""Cache of folded stream states between batches.

What is cached may be old: the versions that a decision was made on are compared under the lock.
"""

from collections.abc import Iterable, Mapping, Sequence

from events.envelope import GENESIS, Cursor
from ledger.decider import State

CURSORS_MAX = 8

Entry = tuple[int, State]
"""Version and state."""


class StreamCache:
    """At most `size_max` states; the older half goes when full.

    `cursors` are events that the log must hold, or it went back in time: what was heard last over each
    connection. A call that was sent with all of them and succeeds stands for all of them.
    """

    def __init__(self, size_max: int = 50_000) -> None:
        self.entries: dict[str, Entry] = {}
        self.cursors: tuple[Cursor, ...] = ()
        self._size_max = size_max

    def drop(self) -> None:
        """Drop every state: after an error none may be trusted.

        The cursors stay known: the broken connection may come back to a log that ends before them.
        """
        self.entries.clear()

    def went_back(self) -> None:
        """The log does not hold what we have seen any more: drop that too."""
        self.drop()
        self.cursors = ()

    def missing(self, streams: Iterable[str]) -> list[str]:
        return [stream for stream in streams if stream not in self.entries]

    def put(self, states: Mapping[str, Entry]) -> None:
        self.entries.update(states)
        if len(self.entries) > self._size_max:
            for stream in list(self.entries)[: self._size_max // 2]:
                del self.entries[stream]

    def seen(self, head: Cursor, sent_with: Sequence[Cursor] | None = None) -> None:
        """A log that holds `head`, and `sent_with` too, has answered."""
        kept = () if sent_with == self.cursors else self.cursors
        if head != GENESIS and head not in kept:
            self.cursors = (*kept[-CURSORS_MAX + 1 :], head)
