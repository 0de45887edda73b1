"""Job status, for the seller's message, the cabinet and operators."""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from events import job
from events.codec import Event
from events.envelope import Recorded
from events.stream_names import JOB, job_of
from projections.engine.errors import UnfoldableEventError
from projections.engine.projection import OnePerStream

State = Literal["queued", "writing", "submitting", "rendering", "retrying", "succeeded", "failed"]
ENDED = ("succeeded", "failed")
_NO_FAILURE: Final = job.Failure("")


class JobStatus(msgspec.Struct, gc=False):
    """One job: number `number` of `of_jobs` in its order.

    `state`: queued → writing (the prompt) → submitting (to the provider) → rendering → succeeded or failed;
    retrying while it waits for `retry_at_us`. A failed job whose video came later has `gifted` and the video.
    `failure_*` are the job's, or while it runs the last submission's; `failure_ref` names the outside's
    sentence. `requeued_as` and `requeue_of` link a failed job and the one that makes it again; `dropped`: an
    operator has left it at that. `stars`: the seller's, 0 without. Times are epoch microseconds. Not frozen,
    for speed: `evolve` makes one new row and fills that in.
    """

    job: str
    account: str
    order_id: str
    number: int
    of_jobs: int
    model: str
    style: str
    photo: str
    price: int
    queued_at_us: int
    deadline_at_us: int
    state: State = "queued"
    run: int = 0
    worker: str = ""
    prompt_source: str = ""
    submissions: int = 0
    task: str = ""
    retry_at_us: int | None = None
    failed_by: str = ""
    failure_class: str = ""
    failure_code: str = ""
    failure_ref: str = ""
    video: str = ""
    video_sha256: str = ""
    video_size_bytes: int | None = None
    gifted: bool = False
    started_at_us: int | None = None
    ended_at_us: int | None = None
    updated_at_us: int = 0
    position: int = 0
    requeue_of: str = ""
    requeued_as: str = ""
    dropped: bool = False
    stars: int = 0


def evolve(row: JobStatus | None, recorded: Recorded, event: Event) -> JobStatus:
    change = _CHANGES.get(type(event))
    if row is None or change is None:
        return _queued(recorded, event)
    row = replace(row, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    change(row, recorded, event)
    return row


def _started(row: JobStatus, recorded: Recorded, event: job.JobStarted) -> None:
    row.run = event.run
    row.worker = event.worker
    if row.state == "queued":
        row.state = "writing"
    if row.started_at_us is None:
        row.started_at_us = recorded.recorded_at_us


def _prompted(row: JobStatus, _: Recorded, event: job.PromptWritten) -> None:
    row.prompt_source = event.source
    if row.state not in ENDED:
        row.state = "submitting"


def _intended(row: JobStatus, _: Recorded, event: job.SubmissionIntended) -> None:
    row.submissions = event.submission
    row.task = ""
    row.retry_at_us = None
    row.state = "submitting"


def _accepted(row: JobStatus, _: Recorded, event: job.SubmissionAccepted) -> None:
    """A fact, even after a refund, maybe of an earlier submission."""
    if event.submission == row.submissions:
        row.task = event.task
        if row.state not in ENDED:
            row.state = "rendering"


def _refused(row: JobStatus, _: Recorded, event: job.SubmissionFailed) -> None:
    _fail(row, event.failure)


def _waits(row: JobStatus, _: Recorded, event: job.RetryScheduled) -> None:
    row.retry_at_us = event.at_us
    row.state = "retrying"


def _unchanged(_row: JobStatus, _recorded: Recorded, _event: Event) -> None:
    pass


def _succeeded(row: JobStatus, recorded: Recorded, event: job.JobSucceeded) -> None:
    _fail(row, _NO_FAILURE)
    _show(row, event.video)
    _end(row, "succeeded", recorded)


def _failed(row: JobStatus, recorded: Recorded, event: job.JobFailed) -> None:
    _fail(row, event.failure)
    row.failed_by = event.by
    _end(row, "failed", recorded)


def _gifted(row: JobStatus, _: Recorded, event: job.VideoGifted) -> None:
    _show(row, event.video)
    row.gifted = True


def _requeued(row: JobStatus, _: Recorded, event: job.JobRequeued) -> None:
    row.requeued_as = event.as_job


def _dropped(row: JobStatus, _recorded: Recorded, _event: job.DeadLetterDropped) -> None:
    row.dropped = True


def _rated(row: JobStatus, _: Recorded, event: job.VideoRated) -> None:
    row.stars = event.stars


def _queued(recorded: Recorded, event: Event) -> JobStatus:
    if not isinstance(event, job.JobQueued):
        wrong = "comes before JobQueued" if isinstance(event, job.JobEvent) else "is no job's event"
        raise UnfoldableEventError(f"{recorded.type} at position {recorded.position} {wrong}")
    return JobStatus(
        job=job_of(recorded.stream) or "",
        account=event.account,
        order_id=event.order,
        number=event.number,
        of_jobs=event.of,
        model=event.model,
        style=event.style,
        photo=event.photo,
        price=event.price,
        queued_at_us=recorded.recorded_at_us,
        deadline_at_us=event.deadline_at_us,
        updated_at_us=recorded.recorded_at_us,
        position=recorded.position,
        requeue_of=event.requeue_of,
    )


def _fail(row: JobStatus, failure: job.Failure) -> None:
    row.failure_class = failure.error_class
    row.failure_code = failure.code
    row.failure_ref = failure.ref


def _show(row: JobStatus, video: job.Video) -> None:
    row.video = video.blob
    row.video_sha256 = video.sha256
    row.video_size_bytes = video.size_bytes


def _end(row: JobStatus, state: State, recorded: Recorded) -> None:
    row.state = state
    row.ended_at_us = recorded.recorded_at_us
    row.retry_at_us = None


_CHANGES: Final[dict[type[Any], Callable[[JobStatus, Recorded, Any], None]]] = {
    job.JobStarted: _started,
    job.PromptWritten: _prompted,
    job.SubmissionIntended: _intended,
    job.SubmissionAccepted: _accepted,
    job.SubmissionFailed: _refused,
    job.RetryScheduled: _waits,
    job.JobHandedBack: _unchanged,
    job.JobReissued: _unchanged,
    job.JobSucceeded: _succeeded,
    job.JobFailed: _failed,
    job.VideoGifted: _gifted,
    job.JobRequeued: _requeued,
    job.DeadLetterDropped: _dropped,
    job.VideoRated: _rated,
}
"""What each event changes in place. By type: to try one class after another takes as long as all the rest."""


JOB_STATUS = OnePerStream(
    "job_status",
    JobStatus,
    evolve,
    JOB,
    indexes=(
        "(account, queued_at_us DESC)",
        "(queued_at_us, job)",  # the newest of all
        "(order_id)",
        # Late results of jobs that failed with a task: few, and only the newest.
        "(ended_at_us, job) WHERE state = 'failed' AND NOT gifted AND task <> ''",
        # Dead letters: failed jobs that are neither made again nor left at that.
        "(failure_class, ended_at_us, job) WHERE state = 'failed' AND requeued_as = '' AND NOT dropped",
    ),
    fillfactor=70,
)
