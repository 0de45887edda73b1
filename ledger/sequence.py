"""Whether events follow a cursor: without gaps, hash by hash. For whoever reads the log or a copy of it."""

from collections.abc import Sequence

from events.envelope import Cursor, Recorded
from ledger.chain import follows
from ledger.errors import IntegrityError


def sequence_break(after: Cursor, events: Sequence[Recorded]) -> str | None:
    """What is wrong with `events` as the continuation of `after`, in words; None when nothing is."""
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
    """Raise IntegrityError unless `events` continue `after` without a gap and in the chain."""
    wrong = sequence_break(after, events)
    if wrong is not None:
        raise IntegrityError(f"the log's chain is broken: {wrong}; stop and compare with a checkpoint")
