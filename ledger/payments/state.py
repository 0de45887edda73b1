"""Payment state folded from its events. Pure."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from events import payment


class Received(msgspec.Struct, frozen=True):
    """Money under one provider's id.

    `credits` were granted for it as lot `lot`; none when it was flagged. `refunded_minor` has gone back and
    `reserved_minor` is about to; `revoked` credits were taken for both. `facts` are of the money that came.
    """

    provider_payment: str
    amount_minor: int
    currency: str
    credits: int = 0
    lot: int = 0
    refunded_minor: int = 0
    reserved_minor: int = 0
    revoked: int = 0
    facts: payment.MoneyFacts = payment.MoneyFacts()

    @property
    def refundable_minor(self) -> int:
        return max(self.amount_minor - self.refunded_minor - self.reserved_minor, 0)

    def taken_by(self, amount_minor: int, lost: int = 0) -> int:
        """Credits to take when `amount_minor` more is refunded.

        Of C credits bought for A, those of R refunded in all are C·R/A, rounded half up, and never more than
        C less the `lost`, which expired or were taken otherwise. A whole refund takes exactly what is left of
        C.
        """
        return max(min(self._due(amount_minor), self.credits - lost) - self.revoked, 0)

    def back_for(self, amount_minor: int) -> int:
        """Credits that return when reserved money stays, by the same rule."""
        return max(self.revoked - self._due(-amount_minor), 0)

    def _due(self, more_minor: int) -> int:
        if not self.credits:
            return 0
        going = self.refunded_minor + self.reserved_minor + more_minor
        return min((2 * self.credits * going + self.amount_minor) // (2 * self.amount_minor), self.credits)

    def amount_of(self, credits: int) -> int:
        """Money to refund for `credits` more: A·N/C in all, rounded half up."""
        wanted = self.revoked + credits
        due = (2 * self.amount_minor * wanted + self.credits) // (2 * self.credits)
        return due - self.refunded_minor - self.reserved_minor


class PaymentState(msgspec.Struct, frozen=True):
    """What the rules need to know of a payment.

    `created` and `cancelled` are ids at the provider. `refunds` are the provider's refunds recorded,
    `intents` our open ones, `closed` the ids of the others. `broken` says why an event could not be read:
    then nothing is decided.
    """

    ordered: payment.PaymentOrdered | None = None
    created: tuple[str, ...] = ()
    received: tuple[Received, ...] = ()
    cancelled: tuple[str, ...] = ()
    expired: bool = False
    flags: tuple[tuple[str, payment.Problem], ...] = ()
    refunds: tuple[str, ...] = ()
    intents: tuple[payment.RefundIntended, ...] = ()
    closed: tuple[str, ...] = ()
    broken: str = ""

    @property
    def succeeded(self) -> bool:
        return any(received.credits for received in self.received)

    @property
    def refused(self) -> bool:
        return bool(self.cancelled) and set(self.created) <= set(self.cancelled)

    def received_as(self, provider_payment: str) -> Received | None:
        for received in self.received:
            if received.provider_payment == provider_payment:
                return received
        return None


def evolve(state: PaymentState, event: payment.PaymentEvent) -> PaymentState:
    match event:
        case payment.PaymentOrdered():
            return replace(state, ordered=event)
        case payment.PaymentCreated():
            return replace(state, created=(*state.created, event.provider_payment))
        case payment.PaymentSucceeded():
            received = Received(
                event.provider_payment,
                event.amount_minor,
                event.currency,
                event.credits,
                event.lot,
                facts=event.facts,
            )
            return _with_received(state, received)
        case payment.PaymentCancelled():
            return replace(state, cancelled=(*state.cancelled, event.provider_payment))
        case payment.PaymentExpired():
            return replace(state, expired=True)
        case payment.PaymentFlagged():
            known = state.received_as(event.provider_payment)
            flagged = replace(state, flags=(*state.flags, (event.provider_payment, event.problem)))
            received = known or Received(
                event.provider_payment, event.amount_minor, event.currency, facts=event.facts
            )
            return _with_received(flagged, received)
        case payment.RefundIntended():
            intended = replace(state, intents=(*state.intents, event))
            return _going_back(
                intended, event.provider_payment, reserved=event.amount_minor, by=event.credits
            )
        case payment.RefundFailed():
            closed, intent = _closed(state, event.refund)
            if intent is None:
                return closed
            return _going_back(
                closed, intent.provider_payment, reserved=-intent.amount_minor, by=-event.credits
            )
        case payment.PaymentRefunded():
            return _refunded(state, event)
        case _ as never:
            assert_never(never)


def _refunded(state: PaymentState, event: payment.PaymentRefunded) -> PaymentState:
    state = replace(state, refunds=(*state.refunds, event.provider_refund))
    closed, intent = _closed(state, event.refund)
    reserved = intent.amount_minor if intent is not None else 0
    taken = intent.credits if intent is not None else 0
    return _going_back(
        closed,
        event.provider_payment,
        refunded=event.amount_minor,
        reserved=-reserved,
        by=event.credits - taken,
    )


def _closed(state: PaymentState, refund: str) -> tuple[PaymentState, payment.RefundIntended | None]:
    for intent in state.intents:
        if intent.refund == refund:
            left = tuple(other for other in state.intents if other is not intent)
            return replace(state, intents=left, closed=(*state.closed, refund)), intent
    return state, None


def _going_back(
    state: PaymentState, provider_payment: str, *, refunded: int = 0, reserved: int = 0, by: int = 0
) -> PaymentState:
    received = state.received_as(provider_payment)
    if received is None:
        return state
    changed = replace(
        received,
        refunded_minor=received.refunded_minor + refunded,
        reserved_minor=received.reserved_minor + reserved,
        revoked=received.revoked + by,
    )
    return _with_received(state, changed)


def _with_received(state: PaymentState, received: Received) -> PaymentState:
    name = received.provider_payment
    if state.received_as(name) is None:
        return replace(state, received=(*state.received, received))
    changed = tuple(received if old.provider_payment == name else old for old in state.received)
    return replace(state, received=changed)
