"""Rules of money refunds: pure functions.

An operator's refund is a decision: its credits are revoked before the money leaves, and granted again if it
never does. That money went back is a fact and takes its credits whatever was spent; but not those that
expired or that an operator took: they are gone.
"""

from typing import assert_never

from msgspec.structs import replace

from events.account import CreditsRestored, CreditsRevoked, Paid, Part
from events.payment import PaymentOrdered, PaymentRefunded, RefundFailed, RefundIntended
from events.stream_names import account_stream, payment_stream
from ledger import errors
from ledger.accounts.decider import (
    NewEvents,
    View,
    account_of,
    expire,
    require_codes,
    require_said,
    restore,
    revoke,
    state_of,
)
from ledger.accounts.state import AccountState
from ledger.commands import RevokeCredits
from ledger.payments.commands import FailRefund, IntendRefund, RecordRefund, RefundCommand
from ledger.payments.decider import end_of_life, reference, require_id, require_money, require_ordered
from ledger.payments.state import PaymentState, Received


def decide(view: View, command: RefundCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    state = state_of(view, payment_stream(command.payment), PaymentState)
    payer = account_of(view, command.account)
    match command:
        case IntendRefund():
            return intend(state, payer, command, now_us)
        case FailRefund():
            return fail(state, payer, command, now_us)
        case RecordRefund():
            return record(state, payer, command, now_us)
        case _ as never:
            assert_never(never)


def intend(state: PaymentState, payer: AccountState, command: IntendRefund, now_us: int) -> NewEvents:
    """RefundIntended and CreditsRevoked, before the money leaves."""
    ordered = require_ordered(state, command.account)
    received = _require_received(state, command.provider_payment)
    intended = RefundIntended(
        command.refund,
        command.provider_payment,
        command.amount_minor,
        received.currency,
        0,
        command.actor,
        command.reason,
    )
    for intent in state.intents:
        if intent.refund == command.refund:
            if replace(intent, credits=0, parts=()) == intended:
                return []
            raise errors.AlreadyExistsError(f"refund {command.refund} is intended otherwise")
    if command.refund in state.closed:
        raise errors.AlreadyExistsError(f"refund {command.refund} is over; a new one needs a new id")
    require_id(command.refund)
    require_said(command.actor, command.reason)
    require_money(command.amount_minor)
    if command.amount_minor > received.refundable_minor:
        raise errors.RefundTooLargeError(command.amount_minor, received.refundable_minor)
    stream = payment_stream(command.payment)
    booked, revoked = take(
        command.payment, payer, ordered, received, command.amount_minor, now_us, command.actor
    )
    if revoked is None:
        return [*booked, (stream, intended)]
    intended = replace(intended, credits=revoked.amount, parts=revoked.parts)
    return [*booked, (stream, intended), (account_stream(ordered.account), revoked)]


def fail(state: PaymentState, payer: AccountState, command: FailRefund, now_us: int) -> NewEvents:
    """RefundFailed, and CreditsRestored for what was reserved; nothing when over."""
    ordered = require_ordered(state, command.account)
    if command.refund in state.closed:
        return []
    intent = next((intent for intent in state.intents if intent.refund == command.refund), None)
    if intent is None:
        raise errors.RefundNotFoundError(
            f"no refund {command.refund} of payment {command.payment} was intended"
        )
    received = _require_received(state, intent.provider_payment)
    credits = received.back_for(intent.amount_minor)
    require_codes(command.reason)
    made: NewEvents = [
        (payment_stream(command.payment), RefundFailed(command.refund, command.reason, credits))
    ]
    if not credits:
        return made
    ends = (lot.expires_at_us for lot in payer.lots if lot.number == received.lot)
    own = Part(received.lot, 0, "purchase", next(ends, end_of_life(ordered, now_us)))
    parts, life_s = _come_back(intent.parts, own, credits), command.refund_life_s
    *booked, (stream, restored) = restore(payer, command.account, parts, command.refund, now_us, life_s)
    assert isinstance(restored, CreditsRestored)
    stayed = Paid(intent.amount_minor, intent.currency)
    return [*made, *booked, (stream, replace(restored, returned=stayed, payment=command.payment))]


def _come_back(parts: tuple[Part, ...], own: Part, credits: int) -> tuple[Part, ...]:
    """Parts that return `credits`; what was owed goes to the `own` lot."""
    back: list[Part] = []
    for part in parts:
        amount = min(part.amount, credits)
        credits -= amount
        back += [replace(part, amount=amount)] if amount else []
    if credits and back and back[0].lot == own.lot:
        own = back.pop(0)
    owed = (replace(own, amount=own.amount + credits),) if credits else ()
    return (*owed, *back)


def record(state: PaymentState, payer: AccountState, command: RecordRefund, now_us: int) -> NewEvents:
    """PaymentRefunded, once per provider's refund; CreditsRevoked if unreserved.

    It fulfils the intended refund that the caller names, or else the oldest of the same money and amount: the
    provider may tell of a refund before our own call has returned. Which of equal ones makes no difference to
    any sum.
    """
    ordered = require_ordered(state, command.account)
    require_id(command.provider_refund)
    if command.provider_refund in state.refunds:
        return []
    received = _require_received(state, command.provider_payment)
    require_money(command.amount_minor)
    wanted = (command.provider_payment, command.amount_minor)
    equal = [intent for intent in state.intents if (intent.provider_payment, intent.amount_minor) == wanted]
    named = [intent for intent in equal if intent.refund == command.refund]
    fulfilled = next(iter(named or equal), None)
    stream = payment_stream(command.payment)
    refunded = PaymentRefunded(
        command.provider_payment,
        command.provider_refund,
        command.amount_minor,
        received.currency,
        0,
        kind="ours" if fulfilled or command.refund else command.kind,
        facts=command.facts,
    )
    if fulfilled is not None:
        return [(stream, replace(refunded, credits=fulfilled.credits, refund=fulfilled.refund))]
    booked, revoked = take(command.payment, payer, ordered, received, command.amount_minor, now_us)
    if revoked is None:
        return [*booked, (stream, refunded)]
    refunded = replace(refunded, credits=revoked.amount)
    return [*booked, (stream, refunded), (account_stream(ordered.account), revoked)]


def take(
    payment: str,
    payer: AccountState,
    ordered: PaymentOrdered,
    received: Received,
    amount_minor: int,
    now_us: int,
    actor: str = "",
) -> tuple[NewEvents, CreditsRevoked | None]:
    """Due expiries, and CreditsRevoked: the payment's own lot first, also below zero."""
    booked, payer = ([], payer) if payer.broken else expire(payer, ordered.account, now_us)
    credits = received.taken_by(amount_minor, payer.lost_of(received.lot))
    if not credits:
        return booked, None
    named = reference(ordered, received.provider_payment)
    command = RevokeCredits(ordered.account, credits, "refund", named, "payment", received.lot, actor)
    ((_, revoked),) = revoke(payer, command, now_us)
    assert isinstance(revoked, CreditsRevoked)
    return booked, replace(revoked, returned=Paid(amount_minor, received.currency), payment=payment)


def _require_received(state: PaymentState, provider_payment: str) -> Received:
    received = state.received_as(provider_payment)
    if received is None:
        raise errors.NotPaidError("no such money is recorded; settle the payment first")
    return received
