"""State durations of jobs, measured once per event across notifiers.

The states are those of the read model `job_status`, made of the events' types and times alone. An event of a
type not named here changes none.

Events come from a committed transaction that no other notifier applies, so nothing is measured twice, neither
after a restart nor after a rebuild; a notifier that dies between commit and measuring leaves a few
unmeasured.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from events.envelope import Recorded
from events.stream_names import job_of
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.notifier.expected_messages import class_of
from services.notifier.metrics import JOB_CRASHES, JOB_SECONDS, JOB_STATE_SECONDS, JOB_SUBMISSIONS, JOBS_ENDED

query = load_queries("services.notifier")

JOBS_MAX: Final = 20_000
"""Jobs remembered; one that was forgotten is read from the log again."""


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


def step(job: JobProgress, event: JobEventRef) -> tuple[JobProgress, tuple[State, float] | None]:
    """The job after its next event, and the stay it ended."""
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
    return after, (job.state, max(event.at_us - job.since_us, 0) / 1e6)


def progress_after(events: Iterable[JobEventRef]) -> JobProgress:
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


class StateMetrics:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._jobs: OrderedDict[str, JobProgress] = OrderedDict()

    async def saw(self, events: Iterable[Recorded]) -> None:
        """Measure applied events. Raises what asyncpg raises, when older jobs could not be read."""
        of_jobs = [event for event in events if job_of(event.stream) is not None]
        await self._read_missing(of_jobs)
        for event in of_jobs:
            self._measure(event)
        while len(self._jobs) > JOBS_MAX:
            self._jobs.popitem(last=False)

    def _measure(self, event: Recorded) -> None:
        before = self._jobs.pop(event.stream, JobProgress())
        after, stay = step(before, JobEventRef(event.version, event.type, event.recorded_at_us))
        JOB_CRASHES.inc(after.crashes - before.crashes)
        if stay is not None:
            state, seconds = stay
            JOB_STATE_SECONDS.labels(state).observe(seconds)
        if after.state not in ENDED:
            self._jobs[event.stream] = after
        elif before.state not in ENDED:
            failed = after.state == "failed"
            JOBS_ENDED.labels(after.state, class_of(event) if failed else "").inc()
            JOB_SECONDS.labels(after.state).observe(max(event.recorded_at_us - after.queued_us, 0) / 1e6)
            JOB_SUBMISSIONS.labels(after.state).observe(after.submissions)

    async def _read_missing(self, events: Sequence[Recorded]) -> None:
        first: dict[str, int] = {}
        for event in events:
            first.setdefault(event.stream, event.version)
        missing = {
            stream: version
            for stream, version in first.items()
            if version > 1 and (stream not in self._jobs or self._jobs[stream].version != version - 1)
        }
        if not missing:
            return
        earlier: dict[str, list[JobEventRef]] = {stream: [] for stream in missing}
        rows = await self._pool.fetch(query("events_before"), list(missing), list(missing.values()))
        for stream, version, type_, at_us in rows:
            earlier[stream].append(JobEventRef(version, type_, at_us))
        self._jobs |= {stream: progress_after(events) for stream, events in earlier.items()}
