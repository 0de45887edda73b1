"""A log without a database: events recorded one after another, in one chain, as the appender would."""

from collections.abc import Iterable

from msgspec.structs import replace

from events.codec import Event, encode
from events.envelope import GENESIS, Cursor, Recorded
from ledger.log.hash_chain import event_hash


class History:
    """Builds a log in memory. Each `record` is one command, unless `command` is False for its last events."""

    def __init__(self, after: Cursor = GENESIS) -> None:
        self.events: list[Recorded] = []
        self._cursor = after
        self._versions: dict[str, int] = {}
        self.now_us = 1_000_000

    def record(self, *made: tuple[str, Event], key: str | None = None) -> list[Recorded]:
        """Append the events of one command; time goes on by a second."""
        self.now_us += 1_000_000
        added = [
            self._row(stream, event, len(made) if i == 0 else None, key)
            for i, (stream, event) in enumerate(made)
        ]
        self.events += added
        return added

    def _row(self, stream: str, event: Event, command_events: int | None, key: str | None) -> Recorded:
        position = self._cursor.position + 1
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        key = (key or f"key-{position}") if command_events else None
        body_hash = bytes(31) + b"\1" if command_events else None
        name, data = type(event).__name__, encode(event)
        row = Recorded(
            position, stream, version, name, data, key, body_hash, command_events,
            "neurocards_operator" if command_events else None, self.now_us, b"",
        )  # fmt: skip
        row = sealed(self._cursor.hash, row)
        self._cursor = row.cursor
        return row


def sealed(previous: bytes, row: Recorded) -> Recorded:
    """The row with the hash that it has after another one."""
    return replace(row, hash=event_hash(previous, row))


def rehashed(events: Iterable[Recorded], after: Cursor = GENESIS) -> list[Recorded]:
    """The same rows with positions and hashes made right again, as someone who rewrites a log would."""
    done: list[Recorded] = []
    cursor = after
    for e in events:
        position = cursor.position + 1
        done.append(sealed(cursor.hash, replace(e, position=position)))
        cursor = done[-1].cursor
    return done
