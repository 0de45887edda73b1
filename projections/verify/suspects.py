"""Rows whose hash does not follow: what was each of them when it was written? Pure.

A row's stored hash covers what it was. So each guess (another position, another stream, the hash of another
row before it) can be proven: with the right one the stored hash follows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from events.codec import EVENT_TYPES
from events.envelope import GENESIS_HASH, Recorded
from events.streams import ACCOUNT, JOB
from ledger.chain import event_hash, follows

NEARBY = 8
"""Rows are looked for so many positions from where they stand."""

_CONTENT = ("stream", "version", "type", "data", "key", "body_hash", "command_events", "recorded_at_us")


class Suspect(msgspec.Struct):
    """A row whose hash does not follow, and its neighbours; None where the log begins or ends."""

    row: Recorded
    before: Recorded | None
    after: Recorded | None
    after_broken: bool

    @property
    def previous(self) -> bytes:
        return GENESIS_HASH if self.before is None else self.before.hash

    @property
    def gap(self) -> int:
        """How many positions are missing before it."""
        return self.row.position - 1 - (0 if self.before is None else self.before.position)


class Proof(msgspec.Struct, frozen=True):
    """With these the row's own hash follows: it was written at `position` after a row with hash `previous`.

    `column` is what was changed since, empty for nothing, and `was` what stood there.
    """

    position: int
    previous: bytes
    column: str = ""
    was: Any = None


def written_hash(previous: bytes, row: Recorded) -> bytes:
    """The hash the row would have after one with the hash `previous`."""
    return event_hash(
        previous, row.position, row.stream, row.version, row.type, row.data, row.key, row.body_hash,
        row.command_events, row.recorded_at_us,
    )  # fmt: skip


def prove(
    suspect: Suspect,
    hashes: Sequence[bytes],
    places: Sequence[int],
    others: Sequence[Recorded],
    streams: Sequence[str],
) -> Proof | None:
    """What the row was, if one of the guesses is right.

    `hashes`: of rows it may have come after; `places`: where it may have stood; `others`: rows it may have
    exchanged something with; `streams`: names its stream may have had.
    """
    row = suspect.row
    for place in dict.fromkeys((row.position, *places)):
        moved = replace(row, position=place)
        for previous in dict.fromkeys((suspect.previous, *hashes)):
            if (place, previous) != (row.position, suspect.previous) and follows(previous, moved):
                return Proof(place, previous)
    for column, value in _changes(suspect, others, streams):
        changed = (
            replace(row, **{column: value}) if column != "row" else replace(value, position=row.position)
        )
        if follows(suspect.previous, replace(changed, hash=row.hash)):
            return Proof(row.position, suspect.previous, column, value)
    return None


def named_streams(rows: Sequence[Recorded]) -> set[str]:
    """Streams that these rows stand in or speak of."""
    found: set[str] = set()
    for row in rows:
        found.add(row.stream)
        try:
            data = msgspec.json.decode(row.data)
        except msgspec.DecodeError:
            continue
        if isinstance(data, dict):
            found |= {
                prefix + str(data[name])
                for prefix, name in ((JOB, "job"), (ACCOUNT, "account"))
                if name in data
            }
    return found


def _changes(
    suspect: Suspect, others: Sequence[Recorded], streams: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Single changes that somebody may have made: a column's name and what may have stood there."""
    row = suspect.row
    near = [other for other in (suspect.before, suspect.after) if other is not None]
    yield from (("stream", stream) for stream in streams)
    for other in others:
        yield "row", other
        yield from ((column, getattr(other, column)) for column in _CONTENT)
    yield from (("type", name) for name in EVENT_TYPES)
    yield from (("recorded_at_us", other.recorded_at_us) for other in near)
    for step in range(-1000, 1001):
        yield "recorded_at_us", row.recorded_at_us + step
        if (version := row.version + step) > 0:
            yield "version", version
    yield from (("command_events", count) for count in range(1, 2 * 50 + 10))
    if row.key is not None:
        yield "key", row.key.strip()
