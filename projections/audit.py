"""The promises about credits and jobs, checked on the log alone, event by event. Pure.

Independent of the deciders on purpose: this is what tells when they are wrong.
"""

import msgspec

from events.account import CreditsCharged, CreditsRefunded
from events.codec import decode
from events.envelope import GENESIS, Cursor, Recorded
from events.errors import CodecError
from events.job import JobFailed, JobQueued, JobSucceeded, VideoGifted
from events.streams import account_of, job_of
from ledger.chain import follows
from projections.books import SPENT, Books, imbalances, transfer_of
from projections.errors import UnfoldableEvent
from projections.problems import Findings


class _Job(msgspec.Struct):
    """What the books know of a job: who paid how much, and how it ended."""

    account: str
    price: int
    position: int
    queued: bool = False
    outcome: str = ""
    refunded: bool = False
    gifted: bool = False


class LogAudit:
    """Walk the log through `add` from its beginning, then ask `finish`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._versions: dict[str, int] = {}
        self._jobs: dict[str, _Job] = {}
        self._command_left = 0
        self._time_us = 0
        self.books = Books()
        self.cursor: Cursor = GENESIS

    def add(self, recorded: Recorded) -> None:
        """The next event."""
        self._check_row(recorded)
        try:
            event = decode(recorded)
            transfer = transfer_of(recorded, event)
        except (CodecError, UnfoldableEvent) as error:
            self._findings.add("unreadable", recorded.position, str(error))
            return
        if transfer is not None:
            self.books.post(transfer)
        match event:
            case CreditsCharged():
                self._charged(recorded, event)
            case CreditsRefunded():
                self._refunded(recorded, event)
            case JobQueued() | JobSucceeded() | JobFailed() | VideoGifted():
                self._job_moved(recorded, event)
            case _:
                pass

    def finish(self) -> set[str]:
        """What can be said at the end only; the jobs that are unfinished."""
        findings = self._findings
        if self._command_left:
            findings.add(
                "command", self.cursor.position, f"{self._command_left} events of a command are missing"
            )
        for job, state in self._jobs.items():
            if not state.queued:
                findings.add("charge", state.position, f"job {job} was charged and never queued")
            if state.outcome == "failed" and not state.refunded:
                findings.add("outcome", state.position, f"job {job} failed and was not refunded")
        for wrong in imbalances(self.books):
            findings.add("books", None, wrong)
        spent = sum(state.price for state in self._jobs.values() if not state.refunded)
        if spent != self.books.get(SPENT, 0):
            message = f"{self.books.get(SPENT, 0)} credits are booked as spent, jobs account for {spent}"
            findings.add("books", None, message)
        return {job for job, state in self._jobs.items() if not state.outcome}

    def _check_row(self, recorded: Recorded) -> None:
        add, position = self._findings.add, recorded.position
        if position != self.cursor.position + 1:
            add("sequence", position, f"position {position} stands where {self.cursor.position + 1} should")
        if not follows(self.cursor.hash, recorded):
            add("sequence", position, f"the hash at position {position} does not follow from the one before")
        self.cursor = recorded.cursor
        version = self._versions[recorded.stream] = self._versions.get(recorded.stream, 0) + 1
        if recorded.version != version:
            message = f"{recorded.stream} has version {recorded.version} where {version} should be"
            add("stream", position, message)
            self._versions[recorded.stream] = recorded.version
        if (recorded.key is not None) != (self._command_left == 0):
            add(
                "command",
                position,
                f"position {position} is not where a command begins or goes on as recorded",
            )
        if recorded.command_events is not None:
            self._command_left = recorded.command_events
        elif recorded.recorded_at_us != self._time_us:
            add("command", position, f"position {position} has another time than its command")
        if recorded.recorded_at_us < self._time_us:
            add("command", position, f"time went back at position {position}")
        self._time_us = recorded.recorded_at_us
        self._command_left = max(self._command_left - 1, 0)

    def _charged(self, recorded: Recorded, event: CreditsCharged) -> None:
        account = account_of(recorded.stream) or ""
        balance = self.books.get(f"user:{account}", 0)
        if balance < 0:
            message = f"account {account} was charged {event.amount} credits down to {balance}"
            self._findings.add("overdraft", recorded.position, message)
        if event.job in self._jobs:
            self._findings.add("charge", recorded.position, f"job {event.job} was charged twice")
            self._jobs[event.job].price += event.amount
            return
        self._jobs[event.job] = _Job(account, event.amount, recorded.position)

    def _refunded(self, recorded: Recorded, event: CreditsRefunded) -> None:
        state, account = self._jobs.get(event.job), account_of(recorded.stream)
        if state is None or state.refunded:
            message = f"job {event.job} was refunded " + ("twice" if state else "and never charged")
        elif (account, event.amount) != (state.account, state.price):
            message = f"the refund of job {event.job} is not its charge"
        elif state.outcome != "failed":
            message = f"job {event.job} was refunded though it is {state.outcome or 'unfinished'}"
        else:
            state.refunded = True
            return
        self._findings.add("outcome", recorded.position, message)
        if state is not None:
            state.refunded = True

    def _job_moved(
        self, recorded: Recorded, event: JobQueued | JobSucceeded | JobFailed | VideoGifted
    ) -> None:
        job = job_of(recorded.stream) or ""
        state = self._jobs.get(job)
        if state is None:
            self._findings.add("charge", recorded.position, f"job {job} was never charged")
            return
        if isinstance(event, JobQueued):
            if state.queued or (event.account, event.price) != (state.account, state.price):
                self._findings.add(
                    "charge", recorded.position, f"job {job} was queued otherwise than charged"
                )
            state.queued = True
        elif isinstance(event, VideoGifted):
            if state.outcome != "failed" or state.gifted:
                self._findings.add(
                    "outcome", recorded.position, f"job {job} was given a gift it had no right to"
                )
            state.gifted = True
        else:
            if state.outcome:
                self._findings.add("outcome", recorded.position, f"job {job} ended twice")
            state.outcome = "failed" if isinstance(event, JobFailed) else "succeeded"
