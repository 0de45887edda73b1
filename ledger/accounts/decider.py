"""Rules of accounts: pure functions, without clock, randomness or I/O."""

import re
from collections.abc import Mapping
from typing import TypeVar, assert_never

import msgspec
from msgspec.structs import replace

from events.account import (
    CODE,
    AccountForgotten,
    AccountOpened,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
    Part,
    TermsAccepted,
)
from events.codec import Event
from events.job import JobQueued
from events.stream_names import account_stream, job_stream, payment_stream
from ledger import commands as c
from ledger import errors
from ledger.accounts.lots import draw
from ledger.accounts.state import UNKNOWN_LOT, AccountState, evolve
from ledger.payments.commands import REFUND_LIFE_S
from ledger.payments.state import PaymentState

AMOUNT_MAX = 1_000_000
JOBS_PER_ORDER_MAX = 50
SECONDS_MAX = 600
_ACTOR = re.compile("(login|account|user):[A-Za-z0-9_.-]{1,63}")
_FORMAT = re.compile("([1-9][0-9]?:[1-9][0-9]?|photo)?")
_PERSON = re.compile("[0-9a-f]{64}")

NewEvents = list[tuple[str, Event]]
"""What a decision makes: events with the stream each belongs to, in order."""


View = Mapping[str, object]
"""Stream → state, of all streams that a command reads."""

StateT = TypeVar("StateT", bound=msgspec.Struct)


def state_of(view: View, stream: str, kind: type[StateT]) -> StateT:
    """The stream's state. Raises LedgerError when it is of another kind."""
    state = view[stream]
    if not isinstance(state, kind):
        raise errors.LedgerError(f"stream {stream} holds another kind of state")
    return state


def account_of(view: View, account: str) -> AccountState:
    return state_of(view, account_stream(account), AccountState)


def decide(view: View, command: c.AccountCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    state = account_of(view, command.account)
    match command:
        case c.OrderVideos():
            return order_videos(state, command, now_us)
        case c.OpenAccount():
            inviter = account_of(view, command.invited_by) if command.invited_by else None
            return open_account(state, command, inviter)
        case c.AcceptTerms():
            return accept_terms(state, command)
        case c.GrantCredits(kind="correction", payment=name):
            bought = state_of(view, payment_stream(name), PaymentState) if name else PaymentState()
            return correct(state, bought, command, now_us)
        case c.GrantCredits():
            require_alone(command)
            return grant(state, command, now_us)
        case c.RevokeCredits():
            require_alone(command)
            return revoke(state, command, now_us)
        case c.ForgetAccount():
            return forget(state, command)
        case c.ExpireCredits():
            return expire_credits(state, command, now_us)
        case _ as never:
            assert_never(never)


class Charge(msgspec.Struct, frozen=True):
    account: str
    job: str
    amount: int
    parts: tuple[Part, ...]


def expire(state: AccountState, account: str, now_us: int) -> tuple[NewEvents, AccountState]:
    """CreditsExpired for every lot past its end, and the state afterwards."""
    made: NewEvents = []
    for lot in state.lots:
        if lot.expires_at_us is not None and lot.expires_at_us <= now_us:
            event = CreditsExpired(lot.number, lot.amount, lot.kind, lot.expires_at_us)
            made.append((account_stream(account), event))
            state = evolve(state, event)
    return made, state


def open_account(
    state: AccountState, command: c.OpenAccount, inviter: AccountState | None = None
) -> NewEvents:
    """AccountOpened, and CreditsRevoked for a debt; nothing when it is open. The inviter must be open."""
    if state.opened:
        return []
    if inviter is not None:
        if command.invited_by == command.account:
            raise errors.InvalidCommandError("nobody invites themselves")
        require_open(inviter, command.invited_by)
        if inviter.forgotten:
            raise errors.AccountErasedError(f"account {command.invited_by} was erased; it invites nobody")
    if not _PERSON.fullmatch(command.person):
        raise errors.InvalidCommandError("whose account it is, is said in 64 hexadecimal digits")
    stream = account_stream(command.account)
    made: NewEvents = [(stream, AccountOpened(command.origin, command.invited_by, command.person))]
    if command.debt > 0:
        made.append((stream, CreditsRevoked(command.debt, "owed before", kind="carried")))
    return made


def accept_terms(state: AccountState, command: c.AcceptTerms) -> NewEvents:
    """TermsAccepted, and the welcome bonus with the first agreement."""
    require_open(state, command.account)
    if state.terms == command.terms:
        return []
    stream = account_stream(command.account)
    made: NewEvents = [(stream, TermsAccepted(command.terms))]
    if not state.terms and command.welcome_credits > 0:
        require_amount(command.welcome_credits)
        welcome = c.GrantCredits(command.account, command.welcome_credits, "bonus", "welcome")
        made.append((stream, _granted(state, welcome)))
    return made


def grant(state: AccountState, command: c.GrantCredits, now_us: int) -> NewEvents:
    """CreditsGranted: a debt is settled first, the rest makes a new lot.

    `carried` is no more than is owed, so it makes none.
    """
    require_open(state, command.account)
    require_actor(command.actor)
    require_amount(command.amount)
    if command.expires_at_us is not None and command.expires_at_us <= now_us:
        raise errors.InvalidCommandError(
            "the grant would expire before it is made; give it a later end of life"
        )
    made, state = expire(state, command.account, now_us)
    if command.kind == "carried":
        if not state.debt:
            return made
        command = replace(command, amount=min(command.amount, state.debt))
    return [*made, (account_stream(command.account), _granted(state, command))]


def _granted(state: AccountState, command: c.GrantCredits) -> CreditsGranted:
    return CreditsGranted(
        command.amount,
        command.kind,
        command.reason,
        state.lots_made + 1,
        command.reference,
        command.expires_at_us,
        settled=min(state.debt, command.amount),
        paid=command.paid,
        actor=command.actor,
        from_lot=command.from_lot,
    )


def correct(state: AccountState, bought: PaymentState, command: c.GrantCredits, now_us: int) -> NewEvents:
    """CreditsGranted for what had expired by a clock that was ahead; nothing when its money went back.

    A life that is over by now is a refund's.
    """
    require_said(command.actor, command.reason)
    amount, lot, ends_at_us = command.amount, command.from_lot or 0, command.expires_at_us or 0
    for received in bought.received:
        if received.lot == lot:  # less what its refunds would have taken, had nothing expired
            amount -= received.taken_by(0, state.lost_of(lot) - amount)
    if amount <= 0:
        return []
    if ends_at_us <= now_us:
        ends_at_us = now_us + REFUND_LIFE_S * 1_000_000
    return grant(state, replace(command, amount=amount, expires_at_us=ends_at_us), now_us)


def revoke(state: AccountState, command: c.RevokeCredits, now_us: int) -> NewEvents:
    """CreditsRevoked, also below zero: the money is gone whatever was spent.

    The lot that `lot` names is drawn first, then the others in draw order.
    """
    require_open(state, command.account)
    require_actor(command.actor)
    require_amount(command.amount)
    made, state = expire(state, command.account, now_us)
    named = tuple(lot for lot in state.lots if lot.number == command.lot)
    others = tuple(lot for lot in state.lots if lot.number != command.lot)
    parts, _ = draw((*named, *others), command.amount)
    revoked = CreditsRevoked(
        command.amount,
        command.reason,
        command.reference,
        command.kind,
        parts,
        command.actor,
        money=command.money,
    )
    return [*made, (account_stream(command.account), revoked)]


def refund(state: AccountState, charge: Charge, reason: str, now_us: int, life_s: int) -> NewEvents:
    """CreditsRefunded: a debt is settled first, the rest returns to its lots.

    A lot whose life is over gets a new one of `life_s`. Never refused: credits come back even when the
    account cannot be read; then nothing else is booked.
    """
    made, state = ([], state) if state.broken else expire(state, charge.account, now_us)
    from_lots = charge.parts or (Part(UNKNOWN_LOT, charge.amount, "bonus"),)
    parts, settled = _back(state, charge.amount, from_lots, now_us, life_s)
    refunded = CreditsRefunded(charge.job, charge.amount, reason, parts, settled)
    return [*made, (account_stream(charge.account), refunded)]


def restore(
    state: AccountState, account: str, from_lots: tuple[Part, ...], refund: str, now_us: int, life_s: int
) -> NewEvents:
    """CreditsRestored for a failed money refund, by the rules of `refund`."""
    require_open(state, account)
    made, state = expire(state, account, now_us)
    amount = sum(part.amount for part in from_lots)
    parts, settled = _back(state, amount, from_lots, now_us, life_s)
    return [*made, (account_stream(account), CreditsRestored(amount, refund, parts, settled))]


def _back(
    state: AccountState, amount: int, from_lots: tuple[Part, ...], now_us: int, life_s: int
) -> tuple[tuple[Part, ...], int]:
    settled = left = min(state.debt, amount)
    lives = {lot.number: lot.expires_at_us for lot in state.lots}
    parts: list[Part] = []
    for part in from_lots:
        settling = min(left, part.amount)
        left -= settling
        ends_at_us = part.expires_at_us
        if ends_at_us is not None:
            ends_at_us = ends_at_us if ends_at_us > now_us else now_us + life_s * 1_000_000
            # The lot may have got a longer life by another refund since.
            ends_at_us = max(ends_at_us, lives.get(part.lot) or 0)
        if part.amount > settling:
            parts.append(Part(part.lot, part.amount - settling, part.kind, ends_at_us))
    return tuple(parts), settled


def expire_credits(state: AccountState, command: c.ExpireCredits, now_us: int) -> NewEvents:
    require_open(state, command.account)
    return expire(state, command.account, now_us)[0]


def forget(state: AccountState, command: c.ForgetAccount) -> NewEvents:
    require_open(state, command.account)
    if state.forgotten:
        return []
    require_said(command.actor, command.reason)
    return [(account_stream(command.account), AccountForgotten(command.reason, command.actor))]


def order_videos(state: AccountState, command: c.OrderVideos, now_us: int) -> NewEvents:
    """Per job CreditsCharged and JobQueued, all or nothing."""
    require_open(state, command.account)
    if state.forgotten:
        raise errors.AccountErasedError(f"account {command.account} was erased; nothing can be ordered on it")
    if not state.terms:
        raise errors.TermsNotAcceptedError("agree to the terms first")
    of = len(command.jobs)
    if not 1 <= of <= JOBS_PER_ORDER_MAX or len(set(command.jobs)) != of:
        raise errors.InvalidCommandError(f"an order has 1 to {JOBS_PER_ORDER_MAX} different jobs, not {of}")
    require_amount(command.price)
    if command.deadline_s <= 0:
        raise errors.InvalidCommandError(f"a deadline of {command.deadline_s} seconds is none")
    if not _FORMAT.fullmatch(command.format) or not 0 <= command.seconds <= SECONDS_MAX:
        raise errors.InvalidCommandError(f"no video has {command.seconds} seconds in {command.format!r}")
    made, state = expire(state, command.account, now_us)
    needed = command.price * of
    if state.balance < needed:
        raise errors.InsufficientCreditsError(state.balance, needed)
    stream, lots = account_stream(command.account), state.lots
    deadline_at_us = now_us + command.deadline_s * 1_000_000
    for number, job in enumerate(command.jobs, start=1):
        parts, lots = draw(lots, command.price)
        made.append((stream, CreditsCharged(job, command.order, command.price, parts)))
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
            parts=parts,
            format=command.format,
            seconds=command.seconds,
        )
        made.append((job_stream(job), queued))
    return made


def require_open(state: AccountState, account: str) -> None:
    """Raises AccountNotOpenError, or UnreadableAccountError."""
    if not state.opened:
        raise errors.AccountNotOpenError(f"account {account} does not exist")
    if state.broken:
        raise errors.UnreadableAccountError(f"account {account} cannot be read: {state.broken}")


def require_said(actor: str, reason: str) -> None:
    """Raises InvalidCommandError unless an operator's command has actor and reason."""
    if not actor or not reason:
        raise errors.InvalidCommandError("say who does this and why")
    require_actor(actor)


def require_actor(actor: str) -> None:
    """Raises InvalidCommandError for a name; empty: no person did it."""
    if actor and not _ACTOR.fullmatch(actor):
        raise errors.InvalidCommandError(
            "who does this is login:<database login>, account:<id> or user:<id>: letters, digits, . _ and -"
        )


def require_alone(command: c.GrantCredits | c.RevokeCredits) -> None:
    """Raises ApprovalNeededError for a `user:` who moves more than they may alone."""
    require_actor(command.actor)
    if command.actor.startswith("user:") and command.amount >= command.alone_below:
        raise errors.ApprovalNeededError(command.amount, command.alone_below)


def require_codes(*codes: str) -> None:
    """Raises InvalidCommandError for a sentence where an event may hold a code."""
    for code in codes:
        if not re.match(CODE, code):
            raise errors.InvalidCommandError(
                "a reason for ever is a code, not a sentence: it cannot be erased"
            )


def require_amount(amount: int) -> None:
    """Raises InvalidCommandError."""
    if not 0 < amount <= AMOUNT_MAX:
        raise errors.InvalidCommandError(f"an amount is 1 to {AMOUNT_MAX} credits, not {amount}")
