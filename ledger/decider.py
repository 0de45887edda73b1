"""Dispatch to all rules: streams read, decide, fold. Pure; `now_us` is the database's time."""

from collections.abc import Mapping
from typing import TypeVar, assert_never, cast

import msgspec
from msgspec.structs import replace

from events.account import AccountEvent, Part
from events.codec import Event, decode_data
from events.errors import CodecError
from events.job import JobEvent
from events.payment import PaymentEvent
from events.promo import PromoEvent
from events.stream_names import (
    ACCOUNT,
    JOB,
    PAYMENT,
    PROMO,
    account_stream,
    job_stream,
    payment_stream,
    promo_stream,
)
from ledger import commands as c
from ledger.accounts import decider as account
from ledger.accounts import state as account_state
from ledger.accounts.decider import NewEvents
from ledger.accounts.state import AccountState
from ledger.errors import InvalidCommandError, LedgerError
from ledger.jobs import decider as job
from ledger.jobs import state as job_state
from ledger.jobs.state import JobState, Outcome
from ledger.payments import commands as p
from ledger.payments import decider as payment
from ledger.payments import money_refunds
from ledger.payments import state as payment_state
from ledger.payments.state import PaymentState
from ledger.promotions import commands as g
from ledger.promotions import promo_codes, referrals
from ledger.promotions.promo_codes import PromoState

View = Mapping[str, object]
"""Stream → state."""

StateT = TypeVar("StateT", AccountState, JobState, PaymentState, PromoState)


def _state(view: View, stream: str, kind: type[StateT]) -> StateT:
    state = view[stream]
    if not isinstance(state, kind):
        raise LedgerError(f"stream {stream} holds another kind of state")
    return state


def account_of(view: View, account_id: str) -> AccountState:
    """The account. Raises LedgerError when its stream is of another kind."""
    return _state(view, account_stream(account_id), AccountState)


def job_of(view: View, job_id: str) -> JobState:
    return _state(view, job_stream(job_id), JobState)


def decide_payment(view: View, command: p.PaymentCommand, now_us: int) -> NewEvents:
    state = _state(view, payment_stream(command.payment), PaymentState)
    match command:
        case p.OrderPayment():
            return payment.order(state, account_of(view, command.account), command)
        case p.RecordPaymentCreated():
            return payment.record_created(state, command)
        case p.SettlePayment():
            return payment.settle(state, account_of(view, command.account), command, now_us)
        case p.CancelPayment():
            return payment.cancel(state, command)
        case p.ExpirePayment():
            return payment.expire(state, command)
        case p.IntendRefund():
            return money_refunds.intend(state, account_of(view, command.account), command, now_us)
        case p.FailRefund():
            return money_refunds.fail(state, account_of(view, command.account), command, now_us)
        case p.RecordRefund():
            return money_refunds.record(state, account_of(view, command.account), command, now_us)
        case p.AcceptPayment():
            return payment.accept(state, account_of(view, command.account), command, now_us)
        case _ as never:
            assert_never(never)


def decide_promo(view: View, command: g.PromoCommand, now_us: int) -> NewEvents:
    state = _state(view, promo_stream(command.code), PromoState)
    match command:
        case g.CreatePromo():
            return promo_codes.create(state, command, now_us)
        case g.DisablePromo():
            return promo_codes.disable(state, command)
        case g.RedeemPromo():
            return promo_codes.redeem(state, account_of(view, command.account), command, now_us)
        case _ as never:
            assert_never(never)


State = AccountState | JobState | PaymentState | PromoState

_OUTCOMES: dict[str, Outcome] = {"JobSucceeded": "succeeded", "JobFailed": "failed"}


class _Charged(msgspec.Struct):
    account: str
    price: int
    parts: tuple[Part, ...] = ()


_charged_decoder = msgspec.json.Decoder(_Charged)


def initial(stream: str) -> State:
    if stream.startswith(ACCOUNT):
        return AccountState()
    if stream.startswith(JOB):
        return JobState()
    if stream.startswith(PAYMENT):
        return PaymentState()
    if stream.startswith(PROMO):
        return PromoState()
    raise InvalidCommandError(f"stream {stream!r} is of no known kind")


def evolve(state: State, event: Event) -> State:
    if isinstance(state, AccountState):
        return account_state.evolve(state, cast(AccountEvent, event))
    if isinstance(state, PaymentState):
        return payment_state.evolve(state, cast(PaymentEvent, event))
    if isinstance(state, PromoState):
        return promo_codes.evolve(state, cast(PromoEvent, event))
    return job_state.evolve(state, cast(JobEvent, event))


def fold(state: State, type_name: str, data: str) -> State:
    """State after a stored event; an unreadable one marks it as broken.

    A broken state refuses decisions, but keeps what a refund needs: who was charged, how much, and whether
    the job has ended.
    """
    try:
        return evolve(state, decode_data(type_name, data))
    except CodecError as error:
        if isinstance(state, AccountState | PaymentState | PromoState):
            return replace(state, broken=str(error))
        broken = replace(state, broken=str(error), outcome=_OUTCOMES.get(type_name, state.outcome))
        if type_name != "JobQueued":
            return broken
        try:
            charged = _charged_decoder.decode(data)
        except msgspec.DecodeError:
            return broken
        return replace(broken, account=charged.account, price=charged.price, parts=charged.parts)


def streams_read(command: c.Command) -> tuple[str, ...]:
    """Streams whose state the decision needs. What the command writes elsewhere must be a new stream."""
    match command:
        case (
            c.OrderVideos()
            | c.AcceptTerms()
            | c.GrantCredits()
            | c.RevokeCredits()
            | c.ExpireCredits()
            | c.ForgetAccount()
        ):
            return (account_stream(command.account),)
        case c.OpenAccount():
            return _accounts(command.account, command.invited_by)
        case c.FailJob() | c.FailSubmission() | c.RequeueJob():
            return (job_stream(command.job), account_stream(command.account))
        case (
            c.StartJob()
            | c.RecordPrompt()
            | c.IntendSubmission()
            | c.RecordAccepted()
            | c.HandBackJob()
            | c.SucceedJob()
            | c.ReissueJob()
            | c.DropDeadLetter()
        ):
            return (job_stream(command.job),)
        case p.RecordPaymentCreated() | p.CancelPayment() | p.ExpirePayment():
            return (payment_stream(command.payment),)
        case (
            p.OrderPayment()
            | p.SettlePayment()
            | p.IntendRefund()
            | p.FailRefund()
            | p.RecordRefund()
            | p.AcceptPayment()
        ):
            return (payment_stream(command.payment), account_stream(command.account))
        case g.CreatePromo() | g.DisablePromo():
            return (promo_stream(command.code),)
        case g.RedeemPromo():
            return (promo_stream(command.code), account_stream(command.account))
        case g.RewardInvitation():
            jobs = (job_stream(command.job),) if command.job else ()
            return (*_accounts(command.account, command.inviter), *jobs)
        case _ as never:
            assert_never(never)


def decide(view: Mapping[str, State], command: c.Command, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    match command:
        case c.OrderVideos():
            return account.order_videos(account_of(view, command.account), command, now_us)
        case c.OpenAccount():
            inviter = account_of(view, command.invited_by) if command.invited_by else None
            return account.open_account(account_of(view, command.account), command, inviter)
        case c.AcceptTerms():
            return account.accept_terms(account_of(view, command.account), command)
        case c.GrantCredits():
            return account.grant(account_of(view, command.account), command, now_us)
        case c.RevokeCredits():
            return account.revoke(account_of(view, command.account), command, now_us)
        case c.ForgetAccount():
            return account.forget(account_of(view, command.account), command)
        case c.ExpireCredits():
            return account.expire_credits(account_of(view, command.account), command, now_us)
        case (
            p.OrderPayment()
            | p.RecordPaymentCreated()
            | p.SettlePayment()
            | p.CancelPayment()
            | p.ExpirePayment()
            | p.IntendRefund()
            | p.FailRefund()
            | p.RecordRefund()
            | p.AcceptPayment()
        ):
            return decide_payment(view, command, now_us)
        case g.CreatePromo() | g.DisablePromo() | g.RedeemPromo():
            return decide_promo(view, command, now_us)
        case g.RewardInvitation():
            invited, inviting = account_of(view, command.account), account_of(view, command.inviter)
            made = job_of(view, command.job) if command.job else None
            return referrals.reward(invited, inviting, made, command, now_us)
        case _:
            return _decide_job(view, command, now_us)


JobCommand = (
    c.StartJob
    | c.RecordPrompt
    | c.IntendSubmission
    | c.RecordAccepted
    | c.FailSubmission
    | c.HandBackJob
    | c.SucceedJob
    | c.FailJob
    | c.ReissueJob
    | c.RequeueJob
    | c.DropDeadLetter
)


def _decide_job(view: Mapping[str, State], command: JobCommand, now_us: int) -> NewEvents:
    state = job_of(view, command.job)
    match command:
        case c.StartJob():
            return job.start(state, command, now_us)
        case c.RecordPrompt():
            return job.record_prompt(state, command)
        case c.IntendSubmission():
            return job.intend(state, command, now_us)
        case c.RecordAccepted():
            return job.record_accepted(state, command)
        case c.FailSubmission():
            return job.fail_submission(state, account_of(view, command.account), command, now_us)
        case c.HandBackJob():
            return job.hand_back(state, command)
        case c.SucceedJob():
            return job.succeed(state, command)
        case c.FailJob():
            return job.fail(state, account_of(view, command.account), command, now_us)
        case c.ReissueJob():
            return job.reissue(state, command, now_us)
        case c.RequeueJob():
            return job.requeue(state, account_of(view, command.account), command, now_us)
        case c.DropDeadLetter():
            return job.drop(state, command)
        case _ as never:
            assert_never(never)


def _accounts(*accounts: str) -> tuple[str, ...]:
    return tuple(account_stream(account) for account in dict.fromkeys(accounts) if account)
