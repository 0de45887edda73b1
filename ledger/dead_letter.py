"""Rules for jobs that went wrong: given out once more, made again, or left at that. Pure, like those beside.

A failed job never lives again: it has its one outcome and its refund. Making it again is a new job with a
stream, a charge (unless it is free) and an outcome of its own, so the promise "one charge, one outcome" and
the guards in the database hold for it as for any other.
"""

from events.account import CreditsCharged, Part
from events.codec import Event
from events.job import DeadLetterDropped, JobQueued, JobReissued, JobRequeued
from events.streams import account_stream, job_stream
from ledger.account import AMOUNT_MAX, Made, expire
from ledger.account_state import AccountState
from ledger.commands import DropDeadLetter, ReissueJob, RequeueJob
from ledger.errors import (
    AlreadyRequeued,
    Forgotten,
    InsufficientCredits,
    InvalidCommand,
    JobFinished,
    JobUnfinished,
    NoSuchJob,
    TooLate,
    UnreadableAccount,
    UnreadableJob,
)
from ledger.job_state import JobState
from ledger.lots import draw


def reissue(state: JobState, command: ReissueJob, now_us: int) -> Made:
    """JobReissued, which brings a new stream entry; nothing when this time was counted already."""
    if not state.account:
        raise NoSuchJob("the job was never queued")
    if state.outcome:
        raise JobFinished(state.outcome)
    if state.queued is not None and now_us >= state.queued.deadline_at_us:
        raise TooLate("the deadline has passed; fail the job instead")
    if command.number <= state.reissues:
        return []
    if command.number != state.reissues + 1:
        raise InvalidCommand(f"the next time is number {state.reissues + 1}")
    return [(job_stream(command.job), JobReissued(command.number))]


def requeue(state: JobState, payer: AccountState, command: RequeueJob, now_us: int) -> Made:
    """JobRequeued on the failed job, and JobQueued on a new one, with CreditsCharged unless it is free."""
    queued = _require_failed(state, command.account)
    if state.requeued_as:
        raise AlreadyRequeued(state.requeued_as)
    if state.video is not None:
        raise JobFinished("been given its late video")
    _require_said(command.actor, command.reason)
    if command.deadline_s <= 0 or not command.as_job or command.as_job == command.job:
        raise InvalidCommand("a job that is made again needs a name of its own and a deadline ahead")
    if payer.forgotten:
        raise Forgotten(f"account {command.account} was erased; nothing can be made for it")
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


def drop(state: JobState, command: DropDeadLetter) -> Made:
    """DeadLetterDropped, once."""
    _require_failed(state, state.account)
    if state.requeued_as:
        raise AlreadyRequeued(state.requeued_as)
    _require_said(command.actor, command.reason)
    if state.dropped:
        return []
    return [(job_stream(command.job), DeadLetterDropped(command.reason, command.actor))]


def _charge(
    payer: AccountState, command: RequeueJob, now_us: int
) -> tuple[list[tuple[str, Event]], tuple[Part, ...]]:
    price = command.price
    if not 0 <= price <= AMOUNT_MAX:
        raise InvalidCommand(f"a price is 0 to {AMOUNT_MAX} credits, not {price}")
    if not price:
        return [], ()
    if payer.broken:
        raise UnreadableAccount(f"account {command.account} cannot be read: {payer.broken}")
    expired, payer = expire(payer, command.account, now_us)
    if payer.balance < price:
        raise InsufficientCredits(payer.balance, price)
    parts, _ = draw(payer.lots, price)
    charged = CreditsCharged(command.as_job, command.as_job, price, parts)
    return [*expired, (account_stream(command.account), charged)], parts


def _require_failed(state: JobState, account: str) -> JobQueued:
    if not state.account or state.account != account:
        raise NoSuchJob("there is no such job of this account")
    if not state.outcome:
        raise JobUnfinished("the job has not ended yet; cancel it first, or wait")
    if state.outcome != "failed":
        raise JobFinished(state.outcome)
    if state.queued is None:
        raise UnreadableJob("the job's order cannot be read, so nothing can be made of it again")
    return state.queued


def _require_said(actor: str, reason: str) -> None:
    if not actor or not reason:
        raise InvalidCommand("say who does this and why")
