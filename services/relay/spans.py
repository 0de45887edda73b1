"""What was sent to the workers, as a span in each job's trace."""

from collections.abc import Sequence

from events.envelope import Recorded
from services.shared import tracing
from services.shared.streams import JOBS, entry_id, job_entry


def record_sends(batch: Sequence[Recorded], times_ns: tuple[int, int]) -> None:
    """The batch was published between these two times (time.time_ns)."""
    for event in batch:
        entry = job_entry(event)
        if entry is None:
            continue
        message: dict[str, tracing.Value] = {
            "messaging.system": "redis",
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": JOBS,
            "messaging.message.id": entry_id(entry.position),
            "messaging.batch.message_count": len(batch),
        }
        tracing.record(
            "send jobs",
            "producer",
            entry.job,
            times_ns,
            attributes=message,
            position=entry.position,
            event=entry.type,
        )
