"""The account's rules: pure functions over its state. No clock, no randomness, no I/O."""

from typing import assert_never

import msgspec

from events.account import (
    AccountEvent,
    AccountOpened,
    CreditsCharged,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    TermsAccepted,
)
from events.codec import Event
from events.job import JobQueued
from events.streams import account_stream, job_stream
from ledger.commands import AcceptTerms, GrantCredits, OpenAccount, OrderVideos, RevokeCredits
from ledger.errors import InsufficientCredits, InvalidCommand, NotOpened, TermsNotAccepted, UnreadableAccount

AMOUNT_MAX = 1_000_000
JOBS_PER_ORDER_MAX = 50

Made = list[tuple[str, Event]]
"""What a decision makes: events with the stream each belongs to, in order."""


class AccountState(msgspec.Struct, frozen=True, gc=False):
    """What the rules need to know of an account.

    `terms` is the version agreed to last, empty before. `broken` says why an event could not be read: then
    nothing may be spent, but refunds still arrive.
    """

    opened: bool = False
    terms: str = ""
    balance: int = 0
    broken: str = ""


def evolve(state: AccountState, event: AccountEvent) -> AccountState:
    """The state after `event`."""
    match event:
        case CreditsCharged():
            return AccountState(state.opened, state.terms, state.balance - event.amount, state.broken)
        case CreditsRefunded() | CreditsGranted():
            return AccountState(state.opened, state.terms, state.balance + event.amount, state.broken)
        case CreditsRevoked():
            return AccountState(state.opened, state.terms, state.balance - event.amount, state.broken)
        case AccountOpened():
            return AccountState(True, state.terms, state.balance, state.broken)
        case TermsAccepted():
            return AccountState(state.opened, event.terms, state.balance, state.broken)
        case _ as never:
            assert_never(never)


def open_account(state: AccountState, command: OpenAccount) -> Made:
    """AccountOpened, or nothing when it is open already."""
    if state.opened:
        return []
    return [(account_stream(command.account), AccountOpened(command.origin))]


def accept_terms(state: AccountState, command: AcceptTerms) -> Made:
    """TermsAccepted, and the welcome bonus with the first agreement."""
    _require_open(state, command.account)
    if state.terms == command.terms:
        return []
    stream = account_stream(command.account)
    made: Made = [(stream, TermsAccepted(command.terms))]
    if not state.terms and command.welcome_credits > 0:
        _require_amount(command.welcome_credits)
        made.append((stream, CreditsGranted(command.welcome_credits, "bonus", "welcome")))
    return made


def grant(state: AccountState, command: GrantCredits) -> Made:
    """CreditsGranted."""
    _require_open(state, command.account)
    _require_amount(command.amount)
    granted = CreditsGranted(
        command.amount, command.kind, command.reason, command.reference, command.expires_at_us
    )
    return [(account_stream(command.account), granted)]


def revoke(state: AccountState, command: RevokeCredits) -> Made:
    """CreditsRevoked, also below zero: the money is gone whatever was spent."""
    _require_open(state, command.account)
    _require_amount(command.amount)
    revoked = CreditsRevoked(command.amount, command.reason, command.reference)
    return [(account_stream(command.account), revoked)]


def order_videos(state: AccountState, command: OrderVideos, now_us: int) -> Made:
    """Per job CreditsCharged and JobQueued, all or nothing."""
    _require_open(state, command.account)
    if not state.terms:
        raise TermsNotAccepted("agree to the terms first")
    of = len(command.jobs)
    if not 1 <= of <= JOBS_PER_ORDER_MAX or len(set(command.jobs)) != of:
        raise InvalidCommand(f"an order has 1 to {JOBS_PER_ORDER_MAX} different jobs, not {of}")
    _require_amount(command.price)
    if command.deadline_s <= 0:
        raise InvalidCommand(f"a deadline of {command.deadline_s} seconds is none")
    needed = command.price * of
    if state.balance < needed:
        raise InsufficientCredits(state.balance, needed)
    stream = account_stream(command.account)
    deadline_at_us = now_us + command.deadline_s * 1_000_000
    made: Made = []
    for number, job in enumerate(command.jobs, start=1):
        made.append((stream, CreditsCharged(job, command.order, command.price)))
        queued = JobQueued(
            account=command.account,
            order=command.order,
            number=number,
            of=of,
            price=command.price,
            model=command.model,
            style=command.style,
            photo=command.photo,
            brief=command.brief,
            locale=command.locale,
            deadline_at_us=deadline_at_us,
        )
        made.append((job_stream(job), queued))
    return made


def _require_open(state: AccountState, account: str) -> None:
    if not state.opened:
        raise NotOpened(f"account {account} does not exist")
    if state.broken:
        raise UnreadableAccount(f"account {account} cannot be read: {state.broken}")


def _require_amount(amount: int) -> None:
    if not 0 < amount <= AMOUNT_MAX:
        raise InvalidCommand(f"an amount is 1 to {AMOUNT_MAX} credits, not {amount}")
