"""Commands about payments.

Facts (created, settled, refunded) are what was read from the provider. Bot, web, monitor and operators use
the same keys, `key_of`, so the first to meet a fact records it.
"""

from typing import Final, assert_never

import msgspec

from events.payment import BuyerKind, MoneyFacts, PaymentOrdered, Provider, RefundKind

REFUND_LIFE_S: Final = 7 * 24 * 3600
"""The new life of credits that come back to a lot whose life is over, unless the caller says otherwise."""


class OrderPayment(msgspec.Struct, frozen=True):
    """Buy a package. `payment` is a new id; committed before the provider is asked."""

    payment: str
    account: str
    provider: Provider
    package: str
    credits: int
    amount_minor: int
    currency: str
    shop: str
    test: bool
    life_s: int | None
    line: str
    locale: str
    buyer: BuyerKind | None = None
    country: str | None = None


class RecordPaymentCreated(msgspec.Struct, frozen=True):
    payment: str
    provider_payment: str


class SettlePayment(msgspec.Struct, frozen=True):
    """Record money that the provider, asked by us, says came. A fact.

    It is compared with the order; `ordered`, from the provider's metadata, is used only when the log has
    none. `facts` are kept.
    """

    payment: str
    account: str
    provider: Provider
    provider_payment: str
    amount_minor: int
    currency: str
    shop: str
    test: bool
    ordered: PaymentOrdered | None = None
    facts: MoneyFacts = MoneyFacts()


class CancelPayment(msgspec.Struct, frozen=True):
    """Record the provider's final no. A fact. `provider_payment` is empty when it was not even created."""

    payment: str
    provider_payment: str
    reason: str
    party: str


class ExpirePayment(msgspec.Struct, frozen=True):
    payment: str
    reason: str


class IntendRefund(msgspec.Struct, frozen=True):
    """Reserve the credits of a money refund; `refund` is a new id."""

    payment: str
    account: str
    refund: str
    provider_payment: str
    amount_minor: int
    actor: str
    reason: str


class FailRefund(msgspec.Struct, frozen=True):
    """Release a refund that will not happen. Lots whose life is over get `refund_life_s` more."""

    payment: str
    account: str
    refund: str
    reason: str
    refund_life_s: int = REFUND_LIFE_S


class AcceptPayment(msgspec.Struct, frozen=True):
    """Give `credits` for flagged money, as bought: an operator's decision."""

    payment: str
    account: str
    provider_payment: str
    credits: int
    actor: str
    reason: str


class RecordRefund(msgspec.Struct, frozen=True):
    """Record a money refund. A fact; `refund` names the intended one, if known.

    `kind` is who sent it, if we did not.
    """

    payment: str
    account: str
    provider: Provider
    provider_payment: str
    provider_refund: str
    amount_minor: int
    refund: str = ""
    kind: RefundKind | None = None
    facts: MoneyFacts = MoneyFacts()


OrderCommand = (
    OrderPayment | RecordPaymentCreated | SettlePayment | CancelPayment | ExpirePayment | AcceptPayment
)
RefundCommand = IntendRefund | FailRefund | RecordRefund
PaymentCommand = OrderCommand | RefundCommand

HINTS: Final[dict[type, tuple[str, ...]]] = {
    SettlePayment: ("ordered", "facts"),
    RecordRefund: ("refund", "kind", "facts"),
}
"""Fields that are no part of what is asked: one caller knows more than another, the fact is the same."""


def key_of(command: PaymentCommand) -> str:
    match command:
        case OrderPayment():
            return f"order-payment:{command.payment}"
        case RecordPaymentCreated():
            return f"payment-created:{command.payment}:{command.provider_payment}"
        case SettlePayment():
            return f"payment:{command.provider}:{command.provider_payment}"
        case CancelPayment():
            return f"payment-cancelled:{command.payment}:{command.provider_payment}"
        case ExpirePayment():
            return f"payment-expired:{command.payment}"
        case IntendRefund():
            return f"refund-intended:{command.refund}"
        case FailRefund():
            return f"refund-failed:{command.refund}"
        case RecordRefund():
            return f"refund:{command.provider}:{command.provider_refund}"
        case AcceptPayment():
            return f"payment-accepted:{command.payment}:{command.provider_payment}"
        case _ as never:
            assert_never(never)
