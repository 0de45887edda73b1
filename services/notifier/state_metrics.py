"""Measures jobs as they go from state to state: each event once, whoever of several notifiers applies it.

What is given here was applied in a transaction that has been committed, and no other notifier applies it.
So nothing is measured twice, neither after a restart nor after a rebuild of the read models; a notifier that
dies between the commit and the measuring leaves a few events unmeasured.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from events.envelope import Recorded
from events.stream_names import job_of
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.notifier.expected_messages import class_of
from services.notifier.job_state_durations import ENDED, JobEventRef, JobProgress, step, watched
from services.notifier.metrics import JOB_CRASHES, JOB_SECONDS, JOB_STATE_SECONDS, JOB_SUBMISSIONS, JOBS_ENDED

query = load_queries("services.notifier")

JOBS_MAX: Final = 20_000
"""Jobs remembered; one that was forgotten is read from the log again."""


class JobTimes:
    """`saw` what was applied, in order."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._jobs: OrderedDict[str, JobProgress] = OrderedDict()

    async def saw(self, events: Iterable[Recorded]) -> None:
        """Measure. Raises what asyncpg raises, when jobs begun before our time could not be read."""
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
            JOB_STATE_SECONDS.labels(stay.state).observe(stay.seconds)
        if after.state not in ENDED:
            self._jobs[event.stream] = after
        elif before.state not in ENDED:
            failed = after.state == "failed"
            JOBS_ENDED.labels(after.state, class_of(event) if failed else "").inc()
            JOB_SECONDS.labels(after.state).observe(max(event.recorded_at_us - after.queued_us, 0) / 1e6)
            JOB_SUBMISSIONS.labels(after.state).observe(after.submissions)

    async def _read_missing(self, events: Sequence[Recorded]) -> None:
        """Have every job as it was before its first event in the batch."""
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
        self._jobs |= {stream: watched(happened) for stream, happened in earlier.items()}
