"""Commands to the ledger. Ids and times come in as data.

The hash of a command's body is kept with the idempotency key, and the same key with another body is an error.
Defaults are left out of it, so that a field added later does not change what was asked before.
"""

import typing

import msgspec

from events.account import ChangeKind, GrantKind, MoneyBehind, Paid, RevokeKind
from events.job import FailedBy, Failure, PromptSource, Video
from ledger.payments.commands import HINTS, REFUND_LIFE_S, PaymentCommand
from ledger.promotions.commands import GiftCommand
from ledger.system.commands import SystemCommand


class OpenAccount(msgspec.Struct, frozen=True):
    """Open the account if it is not. `debt`: owed at an earlier erasure; `person`: as in AccountOpened."""

    account: str
    person: str
    origin: str = "start"
    invited_by: str = ""
    debt: int = 0


class AcceptTerms(msgspec.Struct, frozen=True):
    """Agree to the terms; the first agreement ever brings `welcome_credits`."""

    account: str
    terms: str
    welcome_credits: int


class GrantCredits(msgspec.Struct, frozen=True):
    """Give credits as a new lot. `amount` > 0; `paid`, `actor` and `from_lot` as in CreditsGranted.

    A correction names the `payment` that had bought them: what its money took back meanwhile stays gone.
    A `user:` may give less than `alone_below`; the rest takes a second person.
    """

    account: str
    amount: int
    kind: GrantKind
    reason: str
    reference: str | None = None
    expires_at_us: int | None = None
    paid: Paid | None = None
    actor: str = ""
    from_lot: int | None = None
    payment: str = ""
    alone_below: int = 0


class RevokeCredits(msgspec.Struct, frozen=True):
    """Take granted credits back, lot `lot` first. May leave less than zero. `money` as in CreditsRevoked.

    `alone_below` as in GrantCredits.
    """

    account: str
    amount: int
    reason: str
    reference: str | None = None
    kind: RevokeKind = "manual"
    lot: int | None = None
    actor: str = ""
    money: MoneyBehind | None = None
    alone_below: int = 0


class ProposeChange(msgspec.Struct, frozen=True):
    """Propose a grant or a revocation for a second person to approve; fields as in ChangeProposed."""

    account: str
    change: str
    what: ChangeKind
    amount: int
    reason: str
    actor: str
    expires_at_us: int | None = None
    money: MoneyBehind | None = None


class ApproveChange(msgspec.Struct, frozen=True):
    """Allow a proposal and do what it says."""

    account: str
    change: str
    reason: str
    actor: str


class WithdrawChange(msgspec.Struct, frozen=True):
    account: str
    change: str
    reason: str
    actor: str


class ExpireCredits(msgspec.Struct, frozen=True):
    account: str


class OrderVideos(msgspec.Struct, frozen=True):
    """Charge and queue one job per id in `jobs`: all or nothing. `price` is per job.

    `format` and `seconds` as in JobQueued.
    """

    account: str
    order: str
    jobs: tuple[str, ...]
    price: int
    model: str
    style: str
    photo: str
    brief: str
    locale: str
    deadline_s: int
    format: str = ""
    seconds: int = 0


class StartJob(msgspec.Struct, frozen=True):
    """Take the job as run `run`, the last run plus one."""

    job: str
    run: int
    worker: str


class RecordPrompt(msgspec.Struct, frozen=True):
    job: str
    run: int
    prompt: str
    source: PromptSource
    template: str
    reason: str = ""


class IntendSubmission(msgspec.Struct, frozen=True):
    """Announce a call that may make the provider work."""

    job: str
    run: int
    submission: int
    provider_account: str
    model: str


class RecordAccepted(msgspec.Struct, frozen=True):
    """Record the provider's task for a submission. A fact: never fenced, recorded even after a refund."""

    job: str
    submission: int
    task: str


class FailSubmission(msgspec.Struct, frozen=True):
    """Record a failed submission.

    With `retry_at_us` try again then; without, fail the job and refund. Of a run that has lost the job only
    the refusal is recorded, a fact; the current run asks again.
    """

    job: str
    account: str
    run: int
    submission: int
    failure: Failure
    retry_at_us: int | None = None
    refund_life_s: int = REFUND_LIFE_S
    charged_milli: int | None = None


class HandBackJob(msgspec.Struct, frozen=True):
    """Let go of the job in good order. With `worker`, only if the run is that worker's."""

    job: str
    run: int
    worker: str = ""


class SucceedJob(msgspec.Struct, frozen=True):
    """The video is stored. A fact: after a failure it becomes a gift."""

    job: str
    run: int
    submission: int
    video: Video
    charged_milli: int | None = None


class FailJob(msgspec.Struct, frozen=True):
    """End the job without a video and refund its charge.

    A worker needs the current `run`; the monitor may do it from the deadline on; an operator at any time,
    and says why in `reason`.
    """

    job: str
    account: str
    by: FailedBy
    failure: Failure
    run: int | None = None
    refund_life_s: int = REFUND_LIFE_S
    actor: str = ""
    reason: str = ""


class ReissueJob(msgspec.Struct, frozen=True):
    """Give an orphaned job to the workers, for the `number`th time."""

    job: str
    number: int


class RequeueJob(msgspec.Struct, frozen=True):
    """Make a failed job again as `as_job`, for `price` credits; 0: free."""

    job: str
    account: str
    as_job: str
    price: int
    model: str
    deadline_s: int
    reason: str
    actor: str


class DropDeadLetter(msgspec.Struct, frozen=True):
    """Leave a failed job at that, by an operator."""

    job: str
    reason: str
    actor: str


class RateVideo(msgspec.Struct, frozen=True):
    """Give the job's video 1 to 5 `stars`, by its account; once."""

    job: str
    account: str
    stars: int


class ForgetAccount(msgspec.Struct, frozen=True):
    """Lock the account for erasure, for good. Asking twice changes nothing."""

    account: str
    reason: str
    actor: str


AccountCommand = (
    OrderVideos | OpenAccount | AcceptTerms | GrantCredits | RevokeCredits | ExpireCredits | ForgetAccount
)
ChangeCommand = ProposeChange | ApproveChange | WithdrawChange
JobCommand = (
    StartJob
    | RecordPrompt
    | IntendSubmission
    | RecordAccepted
    | FailSubmission
    | HandBackJob
    | SucceedJob
    | FailJob
    | ReissueJob
    | RequeueJob
    | DropDeadLetter
    | RateVideo
)
Command = AccountCommand | ChangeCommand | JobCommand | PaymentCommand | GiftCommand | SystemCommand

_encode = msgspec.json.Encoder().encode
_HINTS = HINTS | {
    OpenAccount: ("debt",),
    GrantCredits: ("alone_below",),
    RevokeCredits: ("alone_below",),
    FailSubmission: ("charged_milli",),
    SucceedJob: ("charged_milli",),
}
_FIELDS = {
    cls: tuple((f.name, f.default) for f in msgspec.structs.fields(cls) if f.name not in _HINTS.get(cls, ()))
    for cls in typing.get_args(Command)
}


def body(command: Command) -> bytes:
    """Canonical bytes of a command: name and non-default fields, without HINTS.

    Not msgspec's `omit_defaults`: that looks whether a value *is* the default, so the same command from
    another process would have another body.
    """
    cls = type(command)
    given = {name: value for name, default in _FIELDS[cls] if (value := getattr(command, name)) != default}
    return _encode((cls.__name__, given))
