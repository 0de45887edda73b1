"""Time each job spent in each state: for percentiles and expectations."""

from typing import Literal

import msgspec
from msgspec.structs import replace

from events import job
from events.codec import Event
from events.envelope import Recorded
from events.stream_names import JOB, job_of
from projections.engine.errors import UnfoldableEventError
from projections.engine.projection import OnePerStream
from projections.models.job_status import ENDED, State

Outcome = Literal["", "succeeded", "failed"]


class JobTimes(msgspec.Struct, frozen=True, gc=False):
    """Microseconds a job spent in each state until `since_us`.

    The states are those of job_status; `queued_us` is the wait for a worker, `rendering_us` from the
    provider's acceptance on, over all submissions; together they are the job's whole life once it has ended.
    `made_us` is the rendering of the submission that became the video; None without a video, or if its
    acceptance was not the last one. `model` is that of the newest submission, before it that of the order.
    What comes after the end (a late task, a gift) adds nothing.
    """

    job: str
    model: str
    queued_at_us: int
    state: State
    since_us: int
    outcome: Outcome = ""
    queued_us: int = 0
    writing_us: int = 0
    submitting_us: int = 0
    rendering_us: int = 0
    retrying_us: int = 0
    made_us: int | None = None
    submissions: int = 0
    ended_at_us: int | None = None
    position: int = 0


def evolve(row: JobTimes | None, recorded: Recorded, event: Event) -> JobTimes:
    if not isinstance(event, job.JobEvent):
        raise UnfoldableEventError(f"{recorded.type} at position {recorded.position} is no job's event")
    now_us = recorded.recorded_at_us
    if isinstance(event, job.JobQueued):
        return JobTimes(
            job_of(recorded.stream) or "", event.model, now_us, "queued", now_us, position=recorded.position
        )
    if row is None:
        raise UnfoldableEventError(f"{recorded.type} at position {recorded.position} comes before JobQueued")
    if row.state in ENDED:
        return replace(row, position=recorded.position)
    match event:
        case job.JobStarted() if row.state == "queued":
            return _moved(row, "writing", recorded)
        case job.PromptWritten():
            return _moved(row, "submitting", recorded)
        case job.SubmissionIntended():
            row = replace(row, model=event.model, submissions=event.submission)
            return _moved(row, "submitting", recorded)
        case job.SubmissionAccepted() if event.submission == row.submissions:
            return _moved(row, "rendering", recorded)
        case job.RetryScheduled():
            return _moved(row, "retrying", recorded)
        case job.JobSucceeded():
            made = row.state == "rendering" and event.submission == row.submissions
            made_us = now_us - row.since_us if made else None
            row = replace(row, outcome="succeeded", ended_at_us=now_us, made_us=made_us)
            return _moved(row, "succeeded", recorded)
        case job.JobFailed():
            row = replace(row, outcome="failed", ended_at_us=now_us)
            return _moved(row, "failed", recorded)
        case _:
            return replace(row, position=recorded.position)


def _moved(row: JobTimes, state: State, recorded: Recorded) -> JobTimes:
    now_us, position = recorded.recorded_at_us, recorded.position
    if row.state == state:
        return replace(row, position=position)
    spent_us = now_us - row.since_us
    match row.state:
        case "queued":
            spent = {"queued_us": row.queued_us + spent_us}
        case "writing":
            spent = {"writing_us": row.writing_us + spent_us}
        case "submitting":
            spent = {"submitting_us": row.submitting_us + spent_us}
        case "rendering":
            spent = {"rendering_us": row.rendering_us + spent_us}
        case "retrying":
            spent = {"retrying_us": row.retrying_us + spent_us}
        case _:
            spent = {}
    return replace(row, state=state, since_us=now_us, position=position, **spent)


JOB_TIMES = OnePerStream(
    "job_times",
    JobTimes,
    evolve,
    JOB,
    indexes=(
        "(ended_at_us) WHERE ended_at_us IS NOT NULL",
        "(model, ended_at_us DESC) WHERE made_us IS NOT NULL",  # the newest videos of one model
    ),
    fillfactor=70,
)
