"""Invariants of charged jobs: one charge, one outcome. Pure.

A job is forgotten when it is over; a late video, or a second end, is met without it and judged with the job's
whole history.
"""

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from events.account import CreditsCharged, CreditsRefunded, Part
from events.job import JobEvent, JobQueued
from events.stream_names import ACCOUNT, JOB
from projections.verify.event_fields import MOVES, OUTCOMES, Row, read, wrong_version
from projections.verify.findings import Findings

FACTS: Final = frozenset(cls.__name__ for cls in get_args(JobEvent) if cls.stage not in ("order", "attempt"))
"""What may still be recorded after a job's end; a second end is told otherwise."""


class Job(msgspec.Struct, gc=False):
    """Unfinished job, or failed and not refunded yet. `price` 0, no charge: it makes a failed job again."""

    account: str
    order: str
    price: int
    parts: tuple[Part, ...]
    charged_at: int
    version: int = 0
    queued_at: int = 0
    deadline_at_us: int = 0
    outcome: str = ""
    refunded: bool = False
    gifted: bool = False

    @property
    def over(self) -> bool:
        return self.outcome == "succeeded" or (self.outcome == "failed" and (self.refunded or not self.price))


class Jobs:
    """Jobs that are not over, by stream. `keep` keeps all."""

    def __init__(self, findings: Findings, *, keep: bool = False) -> None:
        self.findings = findings
        self._keep = keep
        self.by_stream: dict[str, Job] = {}
        self._free: set[str] = set()
        self.spent = 0

    def charged(self, position: int, account: str, event: CreditsCharged) -> None:
        stream = JOB + event.job
        known = self.by_stream.get(stream)
        self.spent += event.amount
        if known is not None:
            known.price += event.amount
            message = f"job {event.job} was charged twice, first at position {known.charged_at}"
            self.findings.add("charge", position, message)
            return
        self.by_stream[stream] = Job(account, event.order, event.amount, event.parts, position)

    def moved(self, row: Row) -> None:
        at, stream, _, name, *_ = row
        job = self.by_stream[stream]
        if name == "JobQueued":
            event = read(row, self.findings)
            if event is None:
                job.queued_at = at
            else:
                self._queued(at, stream, job, event)
        elif name == "VideoGifted":
            if job.outcome != "failed" or job.gifted:
                self.findings.add("outcome", at, f"{stream} was given a gift it had no right to")
            job.gifted = True
        else:
            self._ended(at, stream, job, OUTCOMES[name])

    def _queued(self, at: int, stream: str, job: Job, event: JobQueued) -> None:
        paid = (job.account, job.order, job.price, job.parts)
        if job.queued_at:
            self.findings.add("charge", at, f"{stream} was queued twice, first at {job.queued_at}")
        elif paid != (event.account, event.order, event.price, event.parts):
            self.findings.add("charge", at, f"{stream} was queued otherwise than charged")
        job.queued_at, job.deadline_at_us = at, event.deadline_at_us

    def _ended(self, at: int, stream: str, job: Job, outcome: str) -> None:
        if job.outcome:
            self.findings.add("outcome", at, f"{stream} {outcome} after it had {job.outcome}")
        elif not job.queued_at:
            self.findings.add("charge", at, f"{stream} {outcome} and was never queued")
        job.outcome = job.outcome or outcome
        self._drop(stream, job)

    def requeued(self, row: Row) -> None:
        """Queued in the same command, if free without a charge."""
        event = read(row, Findings(0))  # other walks report what cannot be read
        if event is not None and not event.price:
            self._free.add(JOB + event.as_job)

    def queued_free(self, row: Row, *, judged: bool = False) -> bool:
        """Whether it is a free job making a failed one again.

        It is known from then on. `judged`: the walk has met it before, and the event that allows it may be
        out of sight.
        """
        at, stream, *_ = row
        event = read(row, Findings(0))
        if event is None or event.price or not event.requeue_of:
            return False
        if not judged and stream not in self._free:
            return False
        self._free.discard(stream)
        self.by_stream[stream] = Job(event.account, event.order, 0, (), at, 1, at, event.deadline_at_us)
        return True

    def refunded(self, position: int, account: str, event: CreditsRefunded) -> None:
        stream = JOB + event.job
        job = self.by_stream[stream]
        wrong = ""
        if job.refunded:
            wrong = f"job {event.job} was refunded twice"
        elif (account, event.amount) != (job.account, job.price):
            wrong = f"the refund of job {event.job} is not its charge: {event.amount} credits to {account}"
        elif job.outcome != "failed":
            wrong = f"job {event.job} was refunded though it is {job.outcome or 'unfinished'}"
        if wrong:
            self.findings.add("outcome", position, wrong)
        if not job.refunded:
            self.spent -= event.amount
        job.refunded = True
        self._drop(stream, job)

    def finish(self) -> None:
        for stream, job in self.by_stream.items():
            if not job.queued_at:
                message = f"{stream} was charged {job.price} credits and never queued"
                self.findings.add("charge", job.charged_at, message)
            elif job.outcome == "failed" and job.price and not job.refunded:
                message = f"{stream} failed and its {job.price} credits were not refunded"
                self.findings.add("outcome", job.charged_at, message)

    def replay(self, row: Row) -> None:
        """Row of a job's history: of its stream, its charges and refunds."""
        at, stream, _, name, *_ = row
        if not stream.startswith(ACCOUNT):
            if name in MOVES and stream in self.by_stream:
                self.moved(row)
            elif name == "JobQueued":
                self.queued_free(row, judged=True)
            return
        event = read(row, Findings(0))  # reported where the walk met it
        if isinstance(event, CreditsCharged):
            self.charged(at, stream[len(ACCOUNT) :], event)
        elif event is not None and JOB + event.job in self.by_stream:
            self.refunded(at, stream[len(ACCOUNT) :], event)

    def _drop(self, stream: str, job: Job) -> None:
        if job.over and not self._keep:
            del self.by_stream[stream]


def job_stream_of(row: Row) -> str:
    """Stream of the late row's job; "" when it cannot be read."""
    if not row[1].startswith(ACCOUNT):
        return str(row[1])
    event = read(row, Findings(0))
    return "" if event is None else f"{JOB}{event.job}"


def judge(findings: Findings, row: Row, history: Sequence[Row]) -> int:
    """Findings about a late `row`, its change of spent credits. `history`: the job's rows in order."""
    jobs = Jobs(Findings(0), keep=True)
    stream, version = job_stream_of(row), 0
    for earlier in history:
        if earlier[0] < row[0]:
            version += earlier[1] == stream
            jobs.replay(earlier)
    spent, jobs.findings = jobs.spent, findings
    at, of, number, name, *_ = row
    if of == stream and number != version + 1:
        wrong_version(findings, at, stream, number, version + 1)
    job = jobs.by_stream.get(stream)
    if job is None and of != stream:
        findings.add("outcome", at, f"{stream} was refunded and never charged")
    elif job is None:
        if name in MOVES:
            findings.add("charge", at, f"{name} at position {at}: {stream} was never charged")
    elif job.over and of == stream and name not in FACTS:
        findings.add("outcome", at, f"{name} at position {at} comes after {stream} had {job.outcome}")
    jobs.replay(row)
    return jobs.spent - spent


def load_jobs(jobs: Jobs, histories: dict[str, list[Row]]) -> None:
    """Load unfinished jobs from `histories`, by stream, as in `judge`."""
    for stream, history in histories.items():
        past = Jobs(Findings(0), keep=True)
        for row in history:
            past.replay(row)
        job = past.by_stream.get(stream)
        if job is not None and not job.over:
            job.version = sum(row[1] == stream for row in history)
            jobs.by_stream[stream] = job
