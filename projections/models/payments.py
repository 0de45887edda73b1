"""Payment status, for the seller, the reconciliation and operators."""

from typing import Literal

import msgspec
from msgspec.structs import replace

from events import payment
from events.codec import Event
from events.envelope import Recorded
from events.payment import RefundIntended
from events.stream_names import PAYMENT, payment_of
from ledger.payments import state as payment_state
from ledger.payments.state import PaymentState, Received
from projections.engine.errors import UnfoldableEventError
from projections.engine.projection import OnePerStream

State = Literal[
    "ordered",
    "pending",
    "succeeded",
    "cancelled",
    "expired",
    "flagged",
    "refunding",
    "refunded_partly",
    "refunded",
]


class Payment(msgspec.Struct, frozen=True, gc=False):
    """One payment; money is in the smallest unit.

    `state`: ordered → pending (the provider knows it) → succeeded, cancelled, expired or flagged; once money
    has come, refunding (an intended refund is open), refunded_partly or refunded. `credits`, `amount_minor`
    and `currency` are the order's. `provider_payment` is the newest id at the provider. `paid_minor` is all
    money that came, flagged too; `refunded_minor` of it went back, which took `revoked_credits` (with those
    reserved). `successes` count grants, `flag` is the last problem. `received` and `intents` are the ledger's
    own fold. Times are epoch microseconds.
    """

    payment: str
    account: str
    provider: str
    package: str
    credits: int
    amount_minor: int
    currency: str
    test: bool
    ordered_at_us: int
    state: State = "ordered"
    provider_payment: str = ""
    paid_minor: int = 0
    refunded_minor: int = 0
    revoked_credits: int = 0
    successes: int = 0
    flag: str = ""
    settled_at_us: int | None = None
    received: tuple[Received, ...] = ()
    intents: tuple[RefundIntended, ...] = ()
    updated_at_us: int = 0
    position: int = 0


def evolve(row: Payment | None, recorded: Recorded, event: Event) -> Payment:
    if not isinstance(event, payment.PaymentEvent):
        raise UnfoldableEventError(f"{recorded.type} at position {recorded.position} is no payment's event")
    if isinstance(event, payment.PaymentOrdered):
        row = _ordered(recorded, event)
    if row is None:
        raise UnfoldableEventError(
            f"{recorded.type} at position {recorded.position} comes before PaymentOrdered"
        )
    row = replace(row, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    match event:
        case payment.PaymentOrdered():
            return row
        case payment.PaymentCreated(provider_payment=name):
            fresh = row.state == "cancelled" and name != row.provider_payment
            state: State = "pending" if fresh or row.state == "ordered" else row.state
            return replace(row, provider_payment=name, state=state)
        case payment.PaymentCancelled(provider_payment=name):
            if row.received or row.provider_payment not in ("", name):
                return row
            return replace(row, provider_payment=name, state="cancelled")
        case payment.PaymentExpired():
            return row if row.received else replace(row, state="expired")
        case payment.PaymentSucceeded():
            settled_at_us = row.settled_at_us or recorded.recorded_at_us
            row = replace(row, provider_payment=event.provider_payment, settled_at_us=settled_at_us)
        case payment.PaymentFlagged():
            row = replace(row, flag=event.problem, provider_payment=event.provider_payment)
        case _:
            pass
    return _moved(row, event)


def _ordered(recorded: Recorded, event: payment.PaymentOrdered) -> Payment:
    return Payment(
        payment=payment_of(recorded.stream) or "",
        account=event.account,
        provider=event.provider,
        package=event.package,
        credits=event.credits,
        amount_minor=event.amount_minor,
        currency=event.currency,
        test=event.test,
        ordered_at_us=recorded.recorded_at_us,
    )


def _moved(row: Payment, event: payment.PaymentEvent) -> Payment:
    state = payment_state.evolve(PaymentState(received=row.received, intents=row.intents), event)
    paid = sum(received.amount_minor for received in state.received)
    refunded = sum(received.refunded_minor for received in state.received)
    successes = sum(received.credits > 0 for received in state.received)
    return replace(
        row,
        state=_state(bool(state.intents), successes, paid, refunded),
        paid_minor=paid,
        refunded_minor=refunded,
        revoked_credits=sum(received.revoked for received in state.received),
        successes=successes,
        received=state.received,
        intents=state.intents,
    )


def _state(refunding: bool, successes: int, paid: int, refunded: int) -> State:
    if refunding:
        return "refunding"
    if refunded:
        return "refunded" if refunded >= paid else "refunded_partly"
    return "succeeded" if successes else "flagged"


PAYMENTS = OnePerStream(
    "payments",
    Payment,
    evolve,
    PAYMENT,
    json_columns=("received", "intents"),
    indexes=(
        "(account, ordered_at_us DESC)",
        "(provider_payment) WHERE provider_payment <> ''",
        # What the reconciler asks about: the oldest first.
        "(ordered_at_us, payment) WHERE state IN ('ordered', 'pending')",
        "(updated_at_us, payment) WHERE state IN ('refunding', 'flagged')",
    ),
)
