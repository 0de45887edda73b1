"""Hash chain: each event's SHA-256 covers the hash before and its columns.

What is hashed: the previous hash (32 bytes); position, version, time and events in the command (-1 for none)
as 8 bytes each; the byte lengths of stream, type, data, key, body hash and writer as 4 bytes each (-1 for
none), all big-endian; then stream, type, data, key, writer and body hash. The lengths come first, so no two
rows give the same bytes. `audit.event_hash` is the same in plain SQL, and what the log is written with.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError

_FIXED = Struct(">qqqqiiiiii")


def event_hash(previous: bytes, event: Recorded) -> bytes:
    s, t, d = event.stream.encode(), event.type.encode(), event.data.encode()
    k = None if event.key is None else event.key.encode()
    w = None if event.writer is None else event.writer.encode()
    lengths = [-1 if part is None else len(part) for part in (s, t, d, k, event.body_hash, w)]
    count = -1 if event.command_events is None else event.command_events
    fixed = _FIXED.pack(event.position, event.version, event.recorded_at_us, count, *lengths)
    return sha256(b"".join((previous, fixed, s, t, d, k or b"", w or b"", event.body_hash or b""))).digest()


def follows(previous: bytes, event: Recorded) -> bool:
    return event.hash == event_hash(previous, event)


# Whether events follow a cursor: without gaps, hash by hash. For whoever reads the log or a copy of it.


def sequence_break(after: Cursor, events: Sequence[Recorded]) -> str | None:
    """Error in `events` as continuation of `after`, in words; None for none."""
    position, previous = after.position, after.hash
    for event in events:
        position += 1
        if event.position != position:
            return f"position {event.position} stands where {position} should"
        if not follows(previous, event):
            return f"the hash at position {position} does not follow from the one before"
        previous = event.hash
    return None


def require_sequence(after: Cursor, events: Sequence[Recorded]) -> None:
    """Raise IntegrityError unless `events` continue `after`, dense and chained."""
    wrong = sequence_break(after, events)
    if wrong is not None:
        raise IntegrityError(f"the log's chain is broken: {wrong}; stop and compare with a checkpoint")
