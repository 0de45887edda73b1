"""Errors of the ledger.

LedgerError
├── Rejected                    the rules say no; nothing was written, the key may be used again
│   ├── NotOpened               the account does not exist
│   ├── TermsNotAccepted
│   ├── Forgotten               whoever the account was has been erased; it takes no more orders
│   ├── InsufficientCredits     (balance, needed)
│   ├── InvalidCommand          a field is out of its range
│   ├── AlreadyExists           an id that must be new is taken
│   ├── NoSuchJob
│   ├── JobFinished             (outcome) the job has ended
│   ├── JobUnfinished           the job has not ended yet
│   ├── AlreadyRequeued         (as_job) the failed job is made again already
│   ├── StaleRun                (run, current) another worker holds the job now
│   ├── SubmissionOpen          an earlier submission's outcome is unknown, or its task still runs
│   ├── NotDue                  too early: before the retry's time, or before the deadline
│   ├── TooLate                 the job's deadline has passed
│   ├── TaskMismatch            a task id that fits no recorded intent, or another than recorded
│   ├── NoSuchPayment
│   ├── NotPaid                 money of this id is not recorded: settle the payment first
│   ├── NoSuchRefund            no refund of this id was intended
│   ├── RefundTooLarge          (amount_minor, left_minor) more than is left of what was paid
│   ├── NoSuchPromo
│   ├── PromoOver               (why) the code gives nothing any more: disabled, ended, or used up
│   ├── AlreadyRedeemed         this account has used the code
│   ├── UnreadableAccount       the account's events cannot be folded; nothing may be spent
│   ├── UnreadableJob           the job's events cannot be folded; it can still be failed and refunded
│   ├── UnreadablePayment       the payment's events cannot be folded; nothing is decided about it
│   └── UnreadablePromo         the code's events cannot be folded; it gives nothing
├── KeyReused                   the key belongs to a command with another body
├── LedgerBusy                  the queue is full: wait and ask again with the same key
├── LedgerUnavailable           no answer from Postgres in time: ask again with the same key
├── MigrationError              a migration cannot be applied to this database; nothing of it was done
└── IntegrityError              the log is not what a cursor or the chain says it must be
"""

from typing import Literal

from events.errors import NeurocardsError


class LedgerError(NeurocardsError):
    """Base of the ledger's errors."""


class Rejected(LedgerError):
    """A rule of the ledger says no. Nothing was written and the idempotency key is not used up."""


class NotOpened(Rejected):
    """The account was never opened."""


class TermsNotAccepted(Rejected):
    """The user has not agreed to the terms yet."""


class Forgotten(Rejected):
    """Whoever the account was has been erased; nothing can be ordered on it."""


class InsufficientCredits(Rejected):
    """The balance does not cover the price."""

    def __init__(self, balance: int, needed: int) -> None:
        super().__init__(f"{needed} credits needed, {balance} there")
        self.balance = balance
        self.needed = needed


class InvalidCommand(Rejected):
    """A field of the command is out of its range."""


class AlreadyExists(Rejected):
    """An id that must be new is already in the log."""


class NoSuchJob(Rejected):
    """The job was never queued, or belongs to another account."""


class JobFinished(Rejected):
    """The job has ended; `outcome` is `succeeded` or `failed`."""

    def __init__(self, outcome: str) -> None:
        super().__init__(f"the job has already {outcome}")
        self.outcome = outcome


class JobUnfinished(Rejected):
    """The job has not ended; what was asked for is for failed jobs."""


class AlreadyRequeued(Rejected):
    """The failed job is made again as `as_job` already; requeue that one if it fails."""

    def __init__(self, as_job: str) -> None:
        super().__init__(f"the job is made again as {as_job} already")
        self.as_job = as_job


class StaleRun(Rejected):
    """Another run has started since: whoever gets this no longer holds the job and must let go of it."""

    def __init__(self, run: int, current: int) -> None:
        super().__init__(f"run {run} is not the current run {current}")
        self.run = run
        self.current = current


class SubmissionOpen(Rejected):
    """An earlier submission's outcome is unknown, or its task runs: submitting again could pay twice."""


class NotDue(Rejected):
    """It is too early for this."""


class TooLate(Rejected):
    """The job's deadline has passed."""


class TaskMismatch(Rejected):
    """The task fits no recorded intent, or another task is recorded for it."""


class NoSuchPayment(Rejected):
    """The payment was never ordered, or belongs to another account."""


class NotPaid(Rejected):
    """No money of this id is recorded, so none can go back: settle the payment first."""


class NoSuchRefund(Rejected):
    """No refund of this id was intended."""


class RefundTooLarge(Rejected):
    """More money than is left of what was paid, in the smallest unit."""

    def __init__(self, amount_minor: int, left_minor: int) -> None:
        super().__init__(f"{amount_minor} of the smallest unit cannot go back, {left_minor} are left")
        self.amount_minor = amount_minor
        self.left_minor = left_minor


class NoSuchPromo(Rejected):
    """There is no such promo code."""


class PromoOver(Rejected):
    """The code gives nothing any more; `why` says since when: it is disabled, it has ended, it is used up."""

    def __init__(self, why: Literal["disabled", "ended", "used up"]) -> None:
        super().__init__(f"the code gives nothing any more: {why}")
        self.why = why


class AlreadyRedeemed(Rejected):
    """The account has used this code; it works once."""


class UnreadableAccount(Rejected):
    """The account's events cannot be folded by this version; refunds still arrive."""


class UnreadableJob(Rejected):
    """The job's events cannot be folded by this version; failing and refunding it still works."""


class UnreadablePayment(Rejected):
    """The payment's events cannot be folded by this version."""


class UnreadablePromo(Rejected):
    """The code's events cannot be folded by this version."""


class KeyReused(LedgerError):
    """The idempotency key was used for a command with another body."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key!r} was used for another command; a new command needs a new key")
        self.key = key


class LedgerBusy(LedgerError):
    """The append queue is full. Wait and ask again with the same key."""


class LedgerUnavailable(LedgerError):
    """Postgres did not answer in time. The outcome may be unknown: ask again with the same key."""


class MigrationError(LedgerError):
    """A migration cannot be applied to this database; nothing of it was done."""


class IntegrityError(LedgerError):
    """The log contradicts itself or a cursor. Nothing may go on from here without a person."""
