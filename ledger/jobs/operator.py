"""Rules for jobs that went wrong: given out once more, made again, or left at that. Pure, like those beside.

A failed job never lives again: it has its one outcome and its refund. Making it again is a new job with a
stream, a charge (unless it is free) and an outcome of its own, so the promise "one charge, one outcome" and
the guards in the database hold for it as for any other.
"""

from events.account import CreditsCharged, Part
from events.codec import Event
from events.job import DeadLetterDropped, JobQueued, JobReissued, JobRequeued
from events.stream_names import account_stream, job_stream
from ledger.accounts.decider import AMOUNT_MAX, NewEvents, expire
from ledger.accounts.lots import draw
from ledger.accounts.state import AccountState
from ledger.commands import DropDeadLetter, ReissueJob, RequeueJob
from ledger.errors import (
    AccountErasedError,
    AlreadyRequeuedError,
    DeadlinePassedError,
    InsufficientCreditsError,
    InvalidCommandError,
    JobFinishedError,
    JobNotFoundError,
    JobUnfinishedError,
    UnreadableAccountError,
    UnreadableJobError,
)
from ledger.jobs.state import JobState


def reissue(state: JobState, command: ReissueJob, now_us: int) -> NewEvents:
    """JobReissued, which brings a new stream entry; nothing when this time was counted already."""
    if not state.account:
        raise JobNotFoundError("the job was never queued")
    if state.outcome:
        raise JobFinishedError(state.outcome)
    if state.queued is not None and now_us >= state.queued.deadline_at_us:
        raise DeadlinePassedError("the deadline has passed; fail the job instead")
    if command.number <= state.reissues:
        return []
    if command.number != state.reissues + 1:
        raise InvalidCommandError(f"the next time is number {state.reissues + 1}")
    return [(job_stream(command.job), JobReissued(command.number))]


def requeue(state: JobState, payer: AccountState, command: RequeueJob, now_us: int) -> NewEvents:
    """JobRequeued on the failed job, and JobQueued on a new one, with CreditsCharged unless it is free."""
    queued = _require_failed(state, command.account)
    if state.requeued_as:
        raise AlreadyRequeuedError(state.requeued_as)
    if state.video is not None:
        raise JobFinishedError("been given its late video")
    _require_said(command.actor, command.reason)
    if command.deadline_s <= 0 or not command.as_job or command.as_job == command.job:
        raise InvalidCommandError("a job that is made again needs a name of its own and a deadline ahead")
    if payer.forgotten:
        raise AccountErasedError(f"account {command.account} was erased; nothing can be made for it")
    requeued = JobRequeued(command.as_job, command.price, command.reason, command.actor)
    charged, parts = _charge(payer, command, now_us)
    fresh = JobQueued(
        account=command.account,
        order=command.as_job,
        number=1,
        of=1,
        price=command.price,
        model=command.model,
        style=queued.style,
        photo=queued.photo,
        brief=queued.brief,
        locale=queued.locale,
        deadline_at_us=now_us + command.deadline_s * 1_000_000,
        parts=parts,
        requeue_of=command.job,
    )
    return [(job_stream(command.job), requeued), *charged, (job_stream(command.as_job), fresh)]


def drop(state: JobState, command: DropDeadLetter) -> NewEvents:
    """DeadLetterDropped, once."""
    _require_failed(state, state.account)
    if state.requeued_as:
        raise AlreadyRequeuedError(state.requeued_as)
    _require_said(command.actor, command.reason)
    if state.dropped:
        return []
    return [(job_stream(command.job), DeadLetterDropped(command.reason, command.actor))]


def _charge(
    payer: AccountState, command: RequeueJob, now_us: int
) -> tuple[list[tuple[str, Event]], tuple[Part, ...]]:
    price = command.price
    if not 0 <= price <= AMOUNT_MAX:
        raise InvalidCommandError(f"a price is 0 to {AMOUNT_MAX} credits, not {price}")
    if not price:
        return [], ()
    if payer.broken:
        raise UnreadableAccountError(f"account {command.account} cannot be read: {payer.broken}")
    expired, payer = expire(payer, command.account, now_us)
    if payer.balance < price:
        raise InsufficientCreditsError(payer.balance, price)
    parts, _ = draw(payer.lots, price)
    charged = CreditsCharged(command.as_job, command.as_job, price, parts)
    return [*expired, (account_stream(command.account), charged)], parts


def _require_failed(state: JobState, account: str) -> JobQueued:
    if not state.account or state.account != account:
        raise JobNotFoundError("there is no such job of this account")
    if not state.outcome:
        raise JobUnfinishedError("the job has not ended yet; cancel it first, or wait")
    if state.outcome != "failed":
        raise JobFinishedError(state.outcome)
    if state.queued is None:
        raise UnreadableJobError("the job's order cannot be read, so nothing can be made of it again")
    return state.queued


def _require_said(actor: str, reason: str) -> None:
    if not actor or not reason:
        raise InvalidCommandError("say who does this and why")
