"""The rules of charged jobs: one charge, one outcome. Checked on one event after another. Pure."""

import msgspec

from events.account import Part
from events.stream_names import JOB
from projections.verify.findings import Findings

FACTS = frozenset({"SubmissionAccepted", "VideoGifted", "JobRequeued", "DeadLetterDropped"})
"""What may still be recorded after a job's end."""


class Job(msgspec.Struct, gc=False):
    """A job that has not ended, or failed and is not refunded yet.

    Without a charge (`price` 0) it is one that makes a failed job again.
    """

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
        """Nothing more can be decided about it, only facts recorded."""
        return self.outcome == "succeeded" or (self.outcome == "failed" and (self.refunded or not self.price))


class Queued(msgspec.Struct, gc=False):
    """What matters of JobQueued."""

    account: str
    order: str
    price: int
    deadline_at_us: int
    parts: tuple[Part, ...] = ()
    requeue_of: str = ""


class Requeued(msgspec.Struct, gc=False):
    """What matters of JobRequeued."""

    as_job: str
    price: int


class Jobs:
    """All jobs that are not over, by stream. `keep` keeps those that are over too."""

    def __init__(self, findings: Findings, *, keep: bool = False) -> None:
        self.findings = findings
        self._keep = keep
        self.by_stream: dict[str, Job] = {}
        self._free: set[str] = set()
        self.spent = 0

    def charged(
        self, position: int, account: str, job: str, order: str, price: int, parts: tuple[Part, ...]
    ) -> None:
        """The account paid for the job."""
        stream = JOB + job
        known = self.by_stream.get(stream)
        self.spent += price
        if known is not None:
            known.price += price
            self.findings.add(
                "charge", position, f"job {job} was charged twice, first at position {known.charged_at}"
            )
            return
        self.by_stream[stream] = Job(account, order, price, parts, position)

    def queued(self, position: int, stream: str, event: Queued) -> None:
        """The job waits to be worked on."""
        job = self.by_stream[stream]
        paid = (job.account, job.order, job.price, job.parts)
        if job.queued_at:
            self.findings.add("charge", position, f"{stream} was queued twice, first at {job.queued_at}")
        elif paid != (event.account, event.order, event.price, event.parts):
            self.findings.add("charge", position, f"{stream} was queued otherwise than charged")
        job.queued_at, job.deadline_at_us = position, event.deadline_at_us

    def requeued(self, event: Requeued) -> None:
        """A failed job is to be made again; in the same command it is queued, if free without a charge."""
        if not event.price:
            self._free.add(JOB + event.as_job)

    def given(self, position: int, stream: str, event: Queued, *, judged: bool = False) -> bool:
        """A job nobody was charged for is queued; whether it may be: it makes a failed one again.

        `judged`: the walk has met it before, and the event that allows it may be out of sight.
        """
        if event.price or not event.requeue_of or not (judged or stream in self._free):
            return False
        self._free.discard(stream)
        self.by_stream[stream] = Job(
            event.account, event.order, 0, (), position, 1, position, event.deadline_at_us
        )
        return True

    def ended(self, position: int, stream: str, outcome: str) -> None:
        """JobSucceeded or JobFailed."""
        job = self.by_stream[stream]
        if job.outcome:
            self.findings.add("outcome", position, f"{stream} {outcome} after it had {job.outcome}")
        elif not job.queued_at:
            self.findings.add("charge", position, f"{stream} {outcome} and was never queued")
        job.outcome = job.outcome or outcome
        self._drop(stream, job)

    def refunded(self, position: int, account: str, name: str, amount: int) -> None:
        """The charge of a known job came back."""
        stream = JOB + name
        job = self.by_stream[stream]
        wrong = ""
        if job.refunded:
            wrong = f"job {name} was refunded twice"
        elif (account, amount) != (job.account, job.price):
            wrong = f"the refund of job {name} is not its charge: {amount} credits to {account}"
        elif job.outcome != "failed":
            wrong = f"job {name} was refunded though it is {job.outcome or 'unfinished'}"
        if wrong:
            self.findings.add("outcome", position, wrong)
        if not job.refunded:
            self.spent -= amount
        job.refunded = True
        self._drop(stream, job)

    def gifted(self, position: int, stream: str) -> None:
        """A video came after all."""
        job = self.by_stream[stream]
        if job.outcome != "failed" or job.gifted:
            self.findings.add("outcome", position, f"{stream} was given a gift it had no right to")
        job.gifted = True

    def finish(self) -> None:
        """What can be said at the end of the log only."""
        for stream, job in self.by_stream.items():
            if not job.queued_at:
                message = f"{stream} was charged {job.price} credits and never queued"
                self.findings.add("charge", job.charged_at, message)
            elif job.outcome == "failed" and job.price and not job.refunded:
                message = f"{stream} failed and its {job.price} credits were not refunded"
                self.findings.add("outcome", job.charged_at, message)

    def _drop(self, stream: str, job: Job) -> None:
        if job.over and not self._keep:
            del self.by_stream[stream]
