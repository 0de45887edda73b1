"""Entries of the Redis streams `ledger` and `jobs`.

    ledger   every event under the ID `<position>-0`; field `event`: the whole row as JSON, with `data` as the
             exact text that was hashed, so that the chain can be verified
    jobs     what generation acts on, under the same IDs; fields `job` and `type`

Only the relay writes; never use an automatic ID (`*`) here, it would block every later position.
"""

from collections.abc import Mapping

import msgspec

from events.envelope import Recorded
from events.errors import NeurocardsError
from events.stream_names import job_of
from services.platform.redis_keys import JOBS, LEDGER

GENERATION = "generation"
"""The consumer group on `jobs`. The relay makes it with the stream, at the stream's beginning."""

JOB_TYPES = frozenset({"JobQueued", "JobReissued", "SubmissionAccepted"})
"""Events that are published to `jobs` too."""

NO_ID = "0-0"
"""The last ID of a stream that is missing or was never written to."""

_EVENT = b"event"
_JOB = b"job"
_TYPE = b"type"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Recorded).decode


class StreamError(NeurocardsError):
    """An entry of a stream is not what the relay writes."""


class JobEntry(msgspec.Struct, frozen=True):
    position: int
    job: str
    type: str


def entry_id(position: int) -> str:
    return f"{position}-0"


def position_of(entry: bytes | str) -> int | None:
    """`7-0` → 7; None for an ID the relay does not give."""
    text = entry.decode() if isinstance(entry, bytes) else entry
    position, _, sequence = text.partition("-")
    return int(position) if sequence == "0" and position.isdecimal() else None


def encode_entry(recorded: Recorded) -> bytes:
    """Value of `event`, the hash last; see `entry_ending`."""
    return _encode(recorded)


def entry_ending(event_hash: bytes) -> bytes:
    return b'"hash":' + _encode(event_hash) + b"}"


def decode_entry(entry: bytes | str, fields: Mapping[bytes, bytes] | None) -> Recorded:
    """Event of a `ledger` entry. Raises StreamError, also when deleted (no fields)."""
    text = (fields or {}).get(_EVENT)
    if text is None:
        raise StreamError(f"entry {entry!r} of {LEDGER} has no event")
    try:
        recorded = _decode(text)
    except msgspec.DecodeError as error:
        raise StreamError(f"entry {entry!r} of {LEDGER} cannot be read: {error}") from error
    expected = entry_id(recorded.position)
    if entry != (expected if isinstance(entry, str) else expected.encode()):
        raise StreamError(f"entry {entry!r} of {LEDGER} holds the event at position {recorded.position}")
    return recorded


def job_entry(recorded: Recorded) -> JobEntry | None:
    """Entry for `jobs`; None when generation need not act on the event."""
    if recorded.type not in JOB_TYPES:
        return None
    job = job_of(recorded.stream)
    return None if job is None else JobEntry(recorded.position, job, recorded.type)


def decode_job(entry: bytes | str, fields: Mapping[bytes, bytes] | None) -> JobEntry:
    """Entry of `jobs`. Raises StreamError, also when trimmed while pending (no fields)."""
    position, found = position_of(entry), fields or {}
    if position is None or _JOB not in found or _TYPE not in found:
        raise StreamError(f"entry {entry!r} of {JOBS} has no job")
    return JobEntry(position, found[_JOB].decode(), found[_TYPE].decode())
