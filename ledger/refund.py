"""The rules for money that goes back: pure functions over a payment's state and its account's.

An operator's refund is a decision: its credits are revoked before the money leaves, and granted again if it
never does. That money went back is a fact, whoever sent it, and takes its credits whatever was spent.
"""

from msgspec.structs import replace

from events.payment import PaymentOrdered, PaymentRefunded, RefundFailed, RefundIntended
from events.streams import payment_stream
from ledger.account import Made, grant, revoke
from ledger.account_state import AccountState
from ledger.commands import GrantCredits, RevokeCredits
from ledger.commands_payment import FailRefund, IntendRefund, RecordRefund
from ledger.errors import AlreadyExists, InvalidCommand, NoSuchRefund, NotPaid, RefundTooLarge
from ledger.payment import end_of_life, reference, require_id, require_money, require_ordered
from ledger.payment_state import PaymentState, Received


def intend(state: PaymentState, payer: AccountState, command: IntendRefund, now_us: int) -> Made:
    """RefundIntended and CreditsRevoked: the credits are taken before the money leaves."""
    ordered = require_ordered(state, command.account)
    received = _require_received(state, command.provider_payment)
    intended = RefundIntended(
        command.refund,
        command.provider_payment,
        command.amount_minor,
        received.currency,
        received.credits_of(command.amount_minor),
        command.actor,
        command.reason,
    )
    for intent in state.intents:
        if intent.refund == command.refund:
            if replace(intent, credits=intended.credits) == intended:
                return []
            raise AlreadyExists(f"refund {command.refund} is intended otherwise")
    if command.refund in state.closed:
        raise AlreadyExists(f"refund {command.refund} is over; a new one needs a new id")
    require_id(command.refund)
    if not command.actor or not command.reason:
        raise InvalidCommand("say who sends the money back and why")
    require_money(command.amount_minor)
    if command.amount_minor > received.refundable_minor:
        raise RefundTooLarge(command.amount_minor, received.refundable_minor)
    taken = _taken(payer, ordered, received, intended.credits, command.actor, now_us)
    return [(payment_stream(command.payment), intended), *taken]


def fail(state: PaymentState, payer: AccountState, command: FailRefund, now_us: int) -> Made:
    """RefundFailed, and CreditsGranted for what was reserved; nothing when the refund is over already."""
    ordered = require_ordered(state, command.account)
    if command.refund in state.closed:
        return []
    intent = next((intent for intent in state.intents if intent.refund == command.refund), None)
    if intent is None:
        raise NoSuchRefund(f"no refund {command.refund} of payment {command.payment} was intended")
    received = _require_received(state, intent.provider_payment)
    credits = -received.credits_of(-intent.amount_minor)
    made: Made = [(payment_stream(command.payment), RefundFailed(command.refund, command.reason, credits))]
    if not credits:
        return made
    back = GrantCredits(
        command.account,
        credits,
        "purchase",
        "refund failed",
        command.refund,
        end_of_life(ordered, now_us),
    )
    return [*made, *grant(payer, back, now_us)]


def record(state: PaymentState, payer: AccountState, command: RecordRefund, now_us: int) -> Made:
    """PaymentRefunded, once per refund of the provider's; with CreditsRevoked if nothing was reserved for it.

    It fulfils the intended refund that the caller names, or else the oldest of the same money and amount:
    the provider may tell of a refund before our own call has returned. Which of equal ones it was makes no
    difference to any sum.
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
        received.credits_of(command.amount_minor),
    )
    if fulfilled is not None:
        return [(stream, replace(refunded, credits=fulfilled.credits, refund=fulfilled.refund))]
    return [(stream, refunded), *_taken(payer, ordered, received, refunded.credits, "", now_us)]


def _taken(
    payer: AccountState, ordered: PaymentOrdered, received: Received, credits: int, actor: str, now_us: int
) -> Made:
    """CreditsRevoked of the payment's own lot first, also below zero; nothing for no credits."""
    if not credits:
        return []
    named = reference(ordered, received.provider_payment)
    command = RevokeCredits(ordered.account, credits, "refund", named, "payment", received.lot, actor)
    return revoke(payer, command, now_us)


def _require_received(state: PaymentState, provider_payment: str) -> Received:
    received = state.received_as(provider_payment)
    if received is None:
        raise NotPaid("no such money is recorded; settle the payment first")
    return received
