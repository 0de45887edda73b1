"""Errors of the ledger: rejections by a rule, and trouble with the log.

LedgerError
├── RejectedError                 the rules say no; nothing was written, the key may be used again
│   ├── AccountNotOpenError       the account does not exist
│   ├── TermsNotAcceptedError
│   ├── AccountErasedError        whoever the account was has been erased; it takes no more orders
│   ├── InsufficientCreditsError  (balance, needed)
│   ├── InvalidCommandError       a field is out of its range
│   ├── AlreadyExistsError        an id that must be new is taken
│   ├── JobNotFoundError
│   ├── JobFinishedError          (outcome) the job has ended
│   ├── JobUnfinishedError        the job has not ended yet
│   ├── AlreadyRequeuedError      (as_job) the failed job is made again already
│   ├── StaleRunError             (run, current) another worker holds the job now
│   ├── SubmissionOpenError       an earlier submission's outcome is unknown, or its task still runs
│   ├── NotDueError               too early: before the retry's time, or before the deadline
│   ├── DeadlinePassedError       the job's deadline has passed
│   ├── TaskMismatchError         a task id that fits no recorded intent, or another than recorded
│   ├── PaymentNotFoundError
│   ├── NotPaidError              money of this id is not recorded: settle the payment first
│   ├── RefundNotFoundError       no refund of this id was intended
│   ├── RefundTooLargeError       (amount_minor, left_minor) more than is left of what was paid
│   ├── PromoNotFoundError
│   ├── PromoExhaustedError       (why) the code gives nothing any more: disabled, ended, or used up
│   ├── AlreadyRedeemedError      this account has used the code
│   └── UnreadableError           its events cannot be folded; a newer version may be able to
│       ├── UnreadableAccountError    nothing may be spent
│       ├── UnreadableJobError        it can still be failed and refunded
│       ├── UnreadablePaymentError    nothing is decided about it
│       └── UnreadablePromoError      it gives nothing
├── KeyReusedError                the key belongs to a command with another body
├── LedgerBusyError               the queue is full: wait and ask again with the same key
├── LedgerUnavailableError        no answer from Postgres in time: ask again with the same key
│   ├── ClockDoubtError           no two clocks agree, so nothing can be recorded
│   └── TwoPrimariesError         (own, newest) an old primary has come back; nothing is recorded there
├── MigrationError                a migration cannot be applied to this database; nothing of it was done
└── IntegrityError                the log is not what a cursor or the chain says it must be
"""

from typing import Literal

from events.errors import NeurocardsError


class LedgerError(NeurocardsError):
    """Base of the ledger's errors."""


class RejectedError(LedgerError):
    """A rule of the ledger says no. Nothing was written and the idempotency key is not used up."""


class AccountNotOpenError(RejectedError):
    """The account was never opened."""


class TermsNotAcceptedError(RejectedError):
    """The user has not agreed to the terms yet."""


class AccountErasedError(RejectedError):
    """The account's person was erased; nothing can be ordered on it."""


class InsufficientCreditsError(RejectedError):
    def __init__(self, balance: int, needed: int) -> None:
        super().__init__(f"{needed} credits needed, {balance} there")
        self.balance = balance
        self.needed = needed


WhyPaused = Literal["paused", "cap"]


class SalesPausedError(RejectedError):
    """Nothing is sold now: an operator's pause, or the day's cost cap."""

    def __init__(self, why: WhyPaused) -> None:
        words = "an operator has paused them" if why == "paused" else "the day's cost cap is reached"
        super().__init__(f"there are no sales: {words}; `neurocards sales resume` lifts it")
        self.why = why


class InvalidCommandError(RejectedError):
    """A field of the command is out of its range."""


class AlreadyExistsError(RejectedError):
    """An id that must be new is already in the log."""


class ApprovalNeededError(RejectedError):
    """So many credits take a second person; `below` is what this one may still move alone."""

    def __init__(self, amount: int, below: int) -> None:
        left = max(0, below - 1)
        super().__init__(f"{amount} credits take a second person: {left} are left to you alone; propose it")
        self.below = below


class ChangeClosedError(RejectedError):
    """The proposal was approved, withdrawn or is too old; or there never was one."""


class JobNotFoundError(RejectedError):
    """The job was never queued, or belongs to another account."""


class JobFinishedError(RejectedError):
    """The job has ended; `outcome` is `succeeded` or `failed`."""

    def __init__(self, outcome: str) -> None:
        super().__init__(f"the job has already {outcome}")
        self.outcome = outcome


class JobUnfinishedError(RejectedError):
    """The job has not ended; what was asked for is for failed jobs."""


class AlreadyRequeuedError(RejectedError):
    """The failed job is already made again as `as_job`."""

    def __init__(self, as_job: str) -> None:
        super().__init__(f"the job is made again as {as_job} already")
        self.as_job = as_job


class StaleRunError(RejectedError):
    """Another run has started since: let go of the job."""

    def __init__(self, run: int, current: int) -> None:
        super().__init__(f"run {run} is not the current run {current}")
        self.run = run
        self.current = current


class SubmissionOpenError(RejectedError):
    """Earlier submission unknown or running: submitting again could pay twice."""


class NotDueError(RejectedError):
    """It is too early for this."""


class DeadlinePassedError(RejectedError):
    """The job's deadline has passed."""


class TaskMismatchError(RejectedError):
    """The task fits no intended submission, or not the recorded one."""


class PaymentNotFoundError(RejectedError):
    """The payment was never ordered, or belongs to another account."""


class NotPaidError(RejectedError):
    """No money of this id is recorded, so none can go back: settle the payment first."""


class RefundNotFoundError(RejectedError):
    """No refund of this id was intended."""


class RefundTooLargeError(RejectedError):
    """More than is left of what was paid, in minor units."""

    def __init__(self, amount_minor: int, left_minor: int) -> None:
        super().__init__(f"{amount_minor} of the smallest unit cannot go back, {left_minor} are left")
        self.amount_minor = amount_minor
        self.left_minor = left_minor


class PromoNotFoundError(RejectedError):
    """There is no such promo code."""


class PromoExhaustedError(RejectedError):
    """Promo code disabled, ended or used up: `why` says which."""

    def __init__(self, why: Literal["disabled", "ended", "used up"]) -> None:
        super().__init__(f"the code gives nothing any more: {why}")
        self.why = why


class AlreadyRedeemedError(RejectedError):
    """The account has used this code; it works once."""


class UnreadableError(RejectedError):
    """Events of a stream cannot be folded by this version; asked of a newer one, the answer may differ."""


class UnreadableAccountError(UnreadableError):
    """The account's events cannot be folded by this version; refunds still arrive."""


class UnreadableJobError(UnreadableError):
    """The job's events cannot be folded by this version; failing and refunding it still works."""


class UnreadablePaymentError(UnreadableError):
    """The payment's events cannot be folded by this version."""


class UnreadablePromoError(UnreadableError):
    """The code's events cannot be folded by this version."""


class KeyReusedError(LedgerError):
    """The idempotency key was used for a command with another body."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key!r} was used for another command; a new command needs a new key")
        self.key = key


class LedgerBusyError(LedgerError):
    """The append queue is full. Wait and ask again with the same key."""


class LedgerUnavailableError(LedgerError):
    """Postgres did not answer in time. The outcome may be unknown: ask again with the same key."""


class ClockDoubtError(LedgerUnavailableError):
    """The database's clock, ours and a witness from outside all differ. Nothing was written."""


class TwoPrimariesError(LedgerUnavailableError):
    """A later primary of the same cluster is known: what is written here would be lost."""

    def __init__(self, own: int, newest: int) -> None:
        super().__init__(
            f"DATABASE_URL leads to a primary of timeline {own}, and one of timeline {newest} leads: an old "
            "one has come back; stop it, or if it is the right one after all, run `neurocards recover`"
        )


class MigrationError(LedgerError):
    """A migration cannot be applied to this database; nothing of it was done."""


class IntegrityError(LedgerError):
    """The log contradicts itself or a cursor. Nothing may go on from here without a person."""
