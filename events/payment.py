"""Events of one payment: one attempt to buy a package.

No person, no secret, no link. Money is a whole number of the currency's smallest unit (kopecks; Stars have
none). `provider_payment` and `provider_refund` are the provider's own ids: YooKassa's, or Telegram's charge
id.
"""

from typing import Literal

import msgspec

from events.account import Part

Provider = Literal["yookassa", "stars"]
Problem = Literal["account", "shop", "test", "currency", "amount"]


class PaymentOrdered(msgspec.Struct, frozen=True):
    """Package ordered at this price. Committed before the provider is asked.

    `shop` is the provider's shop, empty for Stars; `test`: no real money. The credits live for `life_s` from
    the payment on, None: for ever. `line` is the receipt's. `restored`: rebuilt from what the provider keeps,
    after our log went back in time.
    """

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
    restored: bool = False


class PaymentCreated(msgspec.Struct, frozen=True):
    provider_payment: str


class PaymentSucceeded(msgspec.Struct, frozen=True):
    """Money came; its credits are granted in the same transaction, as lot `lot`.

    Once per `provider_payment`: a second one means that the money came twice.
    """

    provider: Provider
    provider_payment: str
    amount_minor: int
    currency: str
    credits: int
    lot: int


class PaymentCancelled(msgspec.Struct, frozen=True):
    """The provider's final no, in the provider's own words."""

    provider_payment: str
    reason: str
    party: str


class PaymentExpired(msgspec.Struct, frozen=True):
    """We stopped asking about it. Later money is credited all the same."""

    reason: str


class PaymentFlagged(msgspec.Struct, frozen=True):
    """Money that does not match the order, as to `problem`. Nothing is credited, an operator must look."""

    provider_payment: str
    problem: Problem
    amount_minor: int
    currency: str


class RefundIntended(msgspec.Struct, frozen=True):
    """Money refund about to be sent. Its `parts` are revoked before it leaves, in the same transaction."""

    refund: str
    provider_payment: str
    amount_minor: int
    currency: str
    credits: int
    actor: str
    reason: str
    parts: tuple[Part, ...] = ()


class RefundFailed(msgspec.Struct, frozen=True):
    """The intended refund did not happen; the `credits` it had taken are restored."""

    refund: str
    reason: str
    credits: int


class PaymentRefunded(msgspec.Struct, frozen=True):
    """Money went back. It took `credits`: those of the intended `refund`, or now, if it names none."""

    provider_payment: str
    provider_refund: str
    amount_minor: int
    currency: str
    credits: int
    refund: str = ""


PaymentEvent = (
    PaymentOrdered
    | PaymentCreated
    | PaymentSucceeded
    | PaymentCancelled
    | PaymentExpired
    | PaymentFlagged
    | RefundIntended
    | RefundFailed
    | PaymentRefunded
)
