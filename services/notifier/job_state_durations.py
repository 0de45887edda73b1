"""How long a job stays in each state, out of its events' types and times. Pure.

The states are those of the read model `job_status`. What an event of a type not named here means for them,
nobody needs to know: the state goes on.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

State = Literal["queued", "writing", "submitting", "rendering", "retrying", "succeeded", "failed"]

ENDED: frozenset[State] = frozenset({"succeeded", "failed"})

_ENTERS: dict[str, State] = {
    "JobQueued": "queued",
    "PromptWritten": "submitting",
    "SubmissionIntended": "submitting",
    "SubmissionAccepted": "rendering",
    "RetryScheduled": "retrying",
    "JobSucceeded": "succeeded",
    "JobFailed": "failed",
}
_PROGRESS = frozenset({"PromptWritten", "SubmissionIntended", "SubmissionAccepted", "SubmissionFailed"})


class JobEventRef(msgspec.Struct, frozen=True):
    """What is needed of a job's event."""

    version: int
    type: str
    at_us: int


class JobProgress(msgspec.Struct, frozen=True):
    """A job up to its event number `version`. `crashes` counts runs that ended without a word or progress."""

    version: int = 0
    state: State = "queued"
    queued_us: int = 0
    since_us: int = 0
    runs: int = 0
    submissions: int = 0
    crashes: int = 0
    run_open: bool = False
    progressed: bool = False


class StateDuration(msgspec.Struct, frozen=True):
    """A job has left a state."""

    state: State
    seconds: float


def step(job: JobProgress, event: JobEventRef) -> tuple[JobProgress, StateDuration | None]:
    """The job after its next event, and the stay that ended with it."""
    state = _state_after(job, event)
    crashed = event.type == "JobStarted" and job.run_open and not job.progressed
    after = JobProgress(
        version=event.version,
        state=state,
        queued_us=event.at_us if event.type == "JobQueued" else job.queued_us,
        since_us=event.at_us if state != job.state or event.version == 1 else job.since_us,
        runs=job.runs + (event.type == "JobStarted"),
        submissions=job.submissions + (event.type == "SubmissionIntended"),
        crashes=job.crashes + crashed,
        run_open=event.type == "JobStarted" or (job.run_open and event.type != "JobHandedBack"),
        progressed=event.type in _PROGRESS or (job.progressed and event.type != "JobStarted"),
    )
    if state == job.state:
        return after, None
    return after, StateDuration(job.state, max(event.at_us - job.since_us, 0) / 1e6)


def watched(events: Iterable[JobEventRef]) -> JobProgress:
    """The job after its first events."""
    job = JobProgress()
    for event in events:
        job, _ = step(job, event)
    return job


def _state_after(job: JobProgress, event: JobEventRef) -> State:
    if job.state in ENDED:
        return job.state  # a task or a gift that comes late
    if event.type == "JobStarted":  # a run that takes over a job changes nothing for it
        return "writing" if job.state == "queued" else job.state
    return _ENTERS.get(event.type, job.state)
