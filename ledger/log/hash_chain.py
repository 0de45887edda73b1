"""Hash chain: each event's SHA-256 covers the hash before and its columns.

What is hashed: the previous hash (32 bytes); position, version, time and events in the command (-1 for none)
as 8 bytes each; the byte lengths of stream, type, data, key and body hash as 4 bytes each (-1 for none), all
big-endian; then those five one after another. The lengths come first, so no two rows give the same bytes.
`audit.event_hash` is the same in plain SQL.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError

_FIXED = Struct(">qqqqiiiii")


def event_hash(
    previous: bytes,
    position: int,
    stream: str,
    version: int,
    type_name: str,
    data: str,
    key: str | None,
    body_hash: bytes | None,
    command_events: int | None,
    recorded_at_us: int,
) -> bytes:
    s, t, d = stream.encode(), type_name.encode(), data.encode()
    if key is None or body_hash is None or command_events is None:
        fixed = _FIXED.pack(position, version, recorded_at_us, -1, len(s), len(t), len(d), -1, -1)
        return sha256(previous + fixed + s + t + d).digest()
    k = key.encode()
    fixed = _FIXED.pack(
        position, version, recorded_at_us, command_events, len(s), len(t), len(d), len(k), len(body_hash)
    )
    return sha256(previous + fixed + s + t + d + k + body_hash).digest()


def follows(previous: bytes, event: Recorded) -> bool:
    return event.hash == event_hash(
        previous,
        event.position,
        event.stream,
        event.version,
        event.type,
        event.data,
        event.key,
        event.body_hash,
        event.command_events,
        event.recorded_at_us,
    )


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
