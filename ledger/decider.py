"""Dispatch to all rules: streams read, decide, fold. Pure; `now_us` is the database's time."""

from collections.abc import Callable
from typing import Any, Final, cast, get_args

import msgspec
from msgspec.structs import fields, replace

from events.account import AccountEvent, Part
from events.codec import Event, decode_data
from events.errors import CodecError
from events.job import JobEvent
from events.payment import PaymentEvent
from events.promo import PromoEvent
from events.stream_names import (
    ACCOUNT,
    JOB,
    LOG_STREAM,
    PAYMENT,
    PROMO,
    SALES_STREAM,
    SYSTEM,
    account_stream,
    job_stream,
    payment_stream,
    promo_stream,
    system_stream,
)
from events.system import SystemEvent
from ledger.accounts import decider as accounts
from ledger.accounts import proposals
from ledger.accounts import state as account_state
from ledger.accounts.decider import NewEvents, View, state_of
from ledger.accounts.state import AccountState
from ledger.commands import AccountCommand, ChangeCommand, Command, JobCommand, OrderVideos
from ledger.errors import InvalidCommandError
from ledger.jobs import decider as jobs
from ledger.jobs import state as job_state
from ledger.jobs.state import JobState, Outcome
from ledger.payments import decider as payments
from ledger.payments import money_refunds
from ledger.payments import state as payment_state
from ledger.payments.commands import OrderCommand, OrderPayment, RefundCommand
from ledger.payments.state import PaymentState
from ledger.promotions import promo_codes, referrals
from ledger.promotions.commands import PromoCommand, RewardInvitation
from ledger.promotions.promo_codes import PromoState
from ledger.system import decider as system
from ledger.system.commands import LogCommand, SalesCommand, SystemCommand
from ledger.system.decider import SystemState

State = AccountState | JobState | PaymentState | PromoState | SystemState

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
    if stream.startswith(SYSTEM):
        return SystemState()
    raise InvalidCommandError(f"stream {stream!r} is of no known kind")


def evolve(state: State, event: Event) -> State:
    if isinstance(state, AccountState):
        return account_state.evolve(state, cast(AccountEvent, event))
    if isinstance(state, PaymentState):
        return payment_state.evolve(state, cast(PaymentEvent, event))
    if isinstance(state, PromoState):
        return promo_codes.evolve(state, cast(PromoEvent, event))
    if isinstance(state, SystemState):
        return system.evolve(state, cast(SystemEvent, event))
    return job_state.evolve(state, cast(JobEvent, event))


def fold(state: State, type_name: str, data: str) -> State:
    """State after a stored event; an unreadable one marks it as broken.

    A broken state refuses decisions, but keeps what a refund needs: who was charged, how much, and whether
    the job has ended.
    """
    try:
        return evolve(state, decode_data(type_name, data))
    except CodecError as error:
        if isinstance(state, AccountState | PaymentState | PromoState | SystemState):
            return replace(state, broken=str(error))
        broken = replace(state, broken=str(error), outcome=_OUTCOMES.get(type_name, state.outcome))
        if type_name != "JobQueued":
            return broken
        try:
            charged = _charged_decoder.decode(data)
        except msgspec.DecodeError:
            return broken
        return replace(broken, account=charged.account, price=charged.price, parts=charged.parts)


_STREAMS: Final[dict[str, Callable[[str], str]]] = {
    "account": account_stream,
    "invited_by": account_stream,
    "inviter": account_stream,
    "job": job_stream,
    "payment": payment_stream,
    "code": promo_stream,
    "process": system_stream,
}
"""Fields by which a command names a stream that its decision reads; at its default it names none."""

Sale = OrderVideos | OrderPayment
"""What is refused while sales are paused. All read one stream that seldom changes: its version is judged."""

_READ: Final = {
    cls: tuple((_STREAMS[f.name], f.name, f.default) for f in fields(cls) if f.name in _STREAMS)
    for cls in get_args(Command)
}
_ALSO_READ: Final[dict[type, tuple[str, ...]]] = {
    **dict.fromkeys(get_args(Sale | SalesCommand), (SALES_STREAM,)),
    **dict.fromkeys(get_args(LogCommand), (LOG_STREAM,)),
}


def streams_read(command: Command) -> tuple[str, ...]:
    """Streams whose state the decision needs. What the command writes elsewhere must be a new stream."""
    cls = type(command)
    named = [
        stream_of(name)
        for stream_of, field, default in _READ[cls]
        if (name := getattr(command, field)) != default
    ]
    return (*(named if len(named) < 2 else dict.fromkeys(named)), *_ALSO_READ.get(cls, ()))


_SALES: Final = frozenset(get_args(Sale))
_RULES: Final[dict[type, Callable[[View, Any, int], NewEvents]]] = {
    cls: rule
    for kind, rule in (
        (AccountCommand, accounts.decide),
        (ChangeCommand, proposals.decide),
        (JobCommand, jobs.decide),
        (RefundCommand, money_refunds.decide),
        (OrderCommand, payments.decide),
        (PromoCommand, promo_codes.decide),
        (SystemCommand, system.decide),
        (RewardInvitation, referrals.decide),
    )
    for cls in get_args(kind) or (kind,)
}


def decide(view: View, command: Command, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    cls = type(command)
    if cls in _SALES:
        system.require_selling(state_of(view, SALES_STREAM, SystemState), now_us)
    return _RULES[cls](view, command, now_us)
