"""The hash chain: each event's SHA-256 covers the hash before it and every column of its row but the hash.

Fields are joined without ambiguity: integers as 8 bytes big-endian; text and bytes with a 4-byte length
before them, NULL as length -1. `ledger/sql` holds the same computation in plain SQL.
"""

from hashlib import sha256
from struct import Struct

from events.envelope import Recorded

_INT = Struct(">q")
_LEN = Struct(">i")
_NULL = _LEN.pack(-1)


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
    """The event's hash, 32 bytes."""
    s, t, d = stream.encode(), type_name.encode(), data.encode()
    k = None if key is None else key.encode()
    return sha256(
        b"".join(
            (
                previous,
                _INT.pack(position),
                _LEN.pack(len(s)),
                s,
                _INT.pack(version),
                _LEN.pack(len(t)),
                t,
                _LEN.pack(len(d)),
                d,
                _NULL if k is None else _LEN.pack(len(k)) + k,
                _NULL if body_hash is None else _LEN.pack(len(body_hash)) + body_hash,
                _NULL if command_events is None else _LEN.pack(8) + _INT.pack(command_events),
                _INT.pack(recorded_at_us),
            )
        )
    ).digest()


def follows(previous: bytes, event: Recorded) -> bool:
    """Whether the event's hash is the right one after `previous`."""
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
