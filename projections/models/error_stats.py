"""What went wrong, counted by hour, model and class of error, each with the newest sentence of it."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from events.codec import Event
from events.envelope import Recorded
from events.job import Failure, JobFailed, JobQueued, SubmissionFailed, SubmissionIntended
from projections.engine.projection import ManyRows, names_of
from projections.models.time_buckets import hour_name, hour_of


class ErrorStats(msgspec.Struct, frozen=True, gc=False):
    """One class of errors of one model in one hour; `bucket` names the three.

    `submissions_failed` counts calls to the provider that came to nothing, `jobs_failed` jobs that ended so:
    a job whose last submission failed counts in both. `code` and `message` are the outside's newest words,
    `last_at_us` is when. A job that failed before it was submitted counts for the model it was ordered from.
    `position` is that of the newest event. Times are epoch microseconds.
    """

    bucket: str
    hour_at_us: int
    model: str
    error_class: str
    submissions_failed: int = 0
    jobs_failed: int = 0
    code: str = ""
    message: str = ""
    last_at_us: int = 0
    position: int = 0


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A submission failed, or (`ended`) the job."""

    model: str
    failure: Failure
    ended: bool


def spread(recorded: Recorded, event: Event, earlier: Sequence[Event]) -> Iterable[tuple[str, Failed]]:
    """The one bucket that a failure counts in."""
    match event:
        case SubmissionFailed():
            failed = Failed(model_of(earlier, event.submission), event.failure, False)
        case JobFailed():
            failed = Failed(model_of(earlier, event.failure.attempt), event.failure, True)
        case _:
            return
    hour = hour_name(recorded.recorded_at_us)
    yield f"{hour} {failed.model} {failed.failure.error_class}", failed


def evolve(row: ErrorStats | None, recorded: Recorded, failed: Failed) -> ErrorStats:
    """The bucket's row with one failure more."""
    failure, at_us = failed.failure, recorded.recorded_at_us
    if row is None:
        bucket = f"{hour_name(at_us)} {failed.model} {failure.error_class}"
        row = ErrorStats(bucket, hour_of(at_us), failed.model, failure.error_class)
    return replace(
        row,
        submissions_failed=row.submissions_failed + (not failed.ended),
        jobs_failed=row.jobs_failed + failed.ended,
        code=failure.code,
        message=failure.message,
        last_at_us=at_us,
        position=recorded.position,
    )


def model_of(earlier: Sequence[Event], submission: int) -> str:
    """The model of a job's submission; for 0, none, or one that is not known, of the order."""
    ordered = ""
    for event in earlier:
        if isinstance(event, SubmissionIntended) and event.submission == submission:
            return event.model
        if isinstance(event, JobQueued):
            ordered = event.model
    return ordered


_FAILURES = (SubmissionFailed, JobFailed)

ERROR_STATS = ManyRows(
    "error_stats",
    ErrorStats,
    evolve,
    names_of(*_FAILURES),
    spread,
    depends=lambda _, event: isinstance(event, _FAILURES),
    recalls=names_of(JobQueued, SubmissionIntended),
)
