"""Where each job stands, for the seller's status message, the cabinet and the operator's pages."""

from typing import Literal, assert_never

import msgspec
from msgspec.structs import replace

from events.codec import Event
from events.envelope import Recorded
from events.job import (
    DeadLetterDropped,
    Failure,
    JobEvent,
    JobFailed,
    JobHandedBack,
    JobQueued,
    JobReissued,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    PromptWritten,
    RetryScheduled,
    SubmissionAccepted,
    SubmissionFailed,
    SubmissionIntended,
    Video,
    VideoGifted,
)
from events.streams import job_of
from projections.errors import UnfoldableEvent
from projections.projection import OnePerStream

State = Literal["queued", "writing", "submitting", "rendering", "retrying", "succeeded", "failed"]
ENDED = ("succeeded", "failed")


class JobStatus(msgspec.Struct, frozen=True, gc=False):
    """One job: number `number` of `of_jobs` in its order.

    `state`: queued → writing (the prompt) → submitting (to the provider) → rendering → succeeded or failed;
    retrying while it waits for the next submission at `retry_at_us`. A failed job whose video came later
    has `gifted` and the video. `failure_*` are the job's, or while it runs the last submission's. A failed
    job that is made again has `requeued_as`, the new one `requeue_of`; `dropped`: an operator has left it at
    that. `price` is in credits. `position` is that of the job's last event. Times are epoch microseconds.
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
    failure_message: str = ""
    video: str = ""
    video_sha256: str = ""
    video_size_bytes: int | None = None
    gifted: bool = False
    started_at_us: int | None = None
    ended_at_us: int | None = None
    updated_at_us: int = 0
    position: int = 0
    # Later than the first signed states: these stand at the end, see Projection.added.
    requeue_of: str = ""
    requeued_as: str = ""
    dropped: bool = False


def evolve(row: JobStatus | None, recorded: Recorded, event: Event) -> JobStatus:
    """The job's row after the event."""
    if not isinstance(event, JobEvent):
        raise UnfoldableEvent(f"{recorded.type} at position {recorded.position} is no job's event")
    if isinstance(event, JobQueued):
        return _queued(recorded, event)
    if row is None:
        raise UnfoldableEvent(f"{recorded.type} at position {recorded.position} comes before JobQueued")
    row = replace(row, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    ended = row.state in ENDED
    match event:
        case JobStarted():
            state: State = "writing" if row.state == "queued" else row.state
            started_at_us = row.started_at_us or recorded.recorded_at_us
            return replace(row, run=event.run, worker=event.worker, state=state, started_at_us=started_at_us)
        case PromptWritten():
            return replace(row, prompt_source=event.source, state=row.state if ended else "submitting")
        case SubmissionIntended():
            return replace(row, submissions=event.submission, task="", retry_at_us=None, state="submitting")
        case SubmissionAccepted():
            # A fact, recorded even after a refund, and maybe of an earlier submission.
            latest = event.submission == row.submissions
            state = "rendering" if latest and not ended else row.state
            return replace(row, task=event.task if latest else row.task, state=state)
        case SubmissionFailed():
            return _with_failure(row, event.failure)
        case RetryScheduled():
            return replace(row, retry_at_us=event.at_us, state="retrying")
        case JobHandedBack() | JobReissued():
            return row
        case JobSucceeded():
            won = _with_video(_with_failure(row, Failure("")), event.video)
            return replace(won, state="succeeded", ended_at_us=recorded.recorded_at_us, retry_at_us=None)
        case JobFailed():
            lost = replace(_with_failure(row, event.failure), failed_by=event.by, retry_at_us=None)
            return replace(lost, state="failed", ended_at_us=recorded.recorded_at_us)
        case VideoGifted():
            return replace(_with_video(row, event.video), gifted=True)
        case JobRequeued():
            return replace(row, requeued_as=event.as_job)
        case DeadLetterDropped():
            return replace(row, dropped=True)
        case _ as never:
            assert_never(never)


def _queued(recorded: Recorded, event: JobQueued) -> JobStatus:
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


def _with_failure(row: JobStatus, failure: Failure) -> JobStatus:
    return replace(
        row,
        failure_class=failure.error_class,
        failure_code=failure.code,
        failure_message=failure.message,
    )


def _with_video(row: JobStatus, video: Video) -> JobStatus:
    return replace(row, video=video.blob, video_sha256=video.sha256, video_size_bytes=video.size_bytes)


def _key_of(recorded: Recorded) -> str | None:
    return job_of(recorded.stream)


JOB_STATUS = OnePerStream("job_status", JobStatus, evolve, _key_of, added=3)
