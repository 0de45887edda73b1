"""Events of one payment: one attempt to buy a package.

No person, no secret, no link. Money is a whole number of the currency's smallest unit (kopecks; Stars have
none). `provider_payment` and `provider_refund` are the provider's own ids: YooKassa's, or Telegram's charge
id.
"""

from typing import Literal

import msgspec

from events.account import Code, Part

Provider = Literal["yookassa", "stars"]
Problem = Literal["account", "shop", "test", "currency", "amount"]
BuyerKind = Literal["person", "company"]
RefundKind = Literal["ours", "cabinet", "chargeback", "provider"]


class Receipt(msgspec.Struct, frozen=True):
    """Fiscal receipt of money: its `status` at the provider, and what we had it say.

    All are the provider's codes, of [A-Za-z0-9_.-]{1,64}; None: unknown. So is the VAT rate.
    """

    status: str | None = None
    vat_code: str | None = None
    mode: str | None = None
    subject: str | None = None


class MoneyFacts(msgspec.Struct, frozen=True):
    """What a provider told of money it moved; None: it did not tell.

    `at_us` is when, by its clock. Of the amount, `income_minor` is ours and `fee_minor` the provider's; of
    money that went back, the fee is what that cost beside it, below zero when some came back. `nano` are
    billionths of a Star beside the amount. `method` is a code like the receipt's.
    """

    at_us: int | None = None
    income_minor: int | None = None
    fee_minor: int | None = None
    nano: int | None = None
    method: str | None = None
    receipt: Receipt | None = None


class PaymentOrdered(msgspec.Struct, frozen=True):
    """Package ordered at this price. Committed before the provider is asked.

    `shop` is the provider's shop, empty for Stars; `test`: no real money. The credits live for `life_s` from
    the payment on, None: for ever. `line` is the receipt's. `restored`: rebuilt from what the provider keeps,
    after our log went back in time. `buyer` and `country` (two letters) are those the package is sold to,
    None: unknown; they decide the place of supply.
    """

    stage = "order"
    words = (
        "{package} ordered: {credits} for {amount_minor} by {provider}{test:, test}"
        "{restored:, restored from the provider's record}"
    )
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
    buyer: BuyerKind | None = None
    country: str | None = None


class PaymentCreated(msgspec.Struct, frozen=True):
    stage = "payment"
    words = "the provider knows it as {provider_payment}"
    provider_payment: str


class PaymentSucceeded(msgspec.Struct, frozen=True):
    """Money came; its credits are granted in the same transaction, as lot `lot`.

    Once per `provider_payment`: a second one means that the money came twice.
    """

    stage = "payment"
    words = "paid: {amount_minor}, {provider_payment}{facts:; %}"
    provider: Provider
    provider_payment: str
    amount_minor: int
    currency: str
    credits: int
    lot: int
    facts: MoneyFacts = MoneyFacts()


class PaymentCancelled(msgspec.Struct, frozen=True):
    """The provider's final no, by its own codes."""

    stage = "payment"
    words = "cancelled by {party}: {reason}"
    provider_payment: str
    reason: Code
    party: Code


class PaymentExpired(msgspec.Struct, frozen=True):
    """We stopped asking about it. Later money is credited all the same."""

    stage = "payment"
    words = "given up: {reason}"
    reason: Code


class PaymentFlagged(msgspec.Struct, frozen=True):
    """Money that does not match the order, as to `problem`. Nothing is credited, an operator must look.

    All that is said is of this money and not of the order: in which `shop` of which `provider` it lies,
    whether it is a `test`, and the `account` it names.
    """

    stage = "payment"
    words = (
        "flagged, {problem} differs: {amount_minor}{test: of test money}, {provider_payment}"
        "{shop: in shop %}{facts:; %}; nothing is credited"
    )
    provider_payment: str
    problem: Problem
    amount_minor: int
    currency: str
    provider: Provider | None = None
    shop: str = ""
    test: bool | None = None
    account: str = ""
    facts: MoneyFacts = MoneyFacts()


class RefundIntended(msgspec.Struct, frozen=True):
    """Money refund about to be sent. Its `parts` are revoked before it leaves, in the same transaction."""

    stage = "refund"
    words = "refund of {amount_minor} begun, {credits} reserved for it: {reason}, by {actor}"
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

    stage = "refund"
    words = "refund failed, {credits} come back: {reason}"
    refund: str
    reason: Code
    credits: int


class PaymentRefunded(msgspec.Struct, frozen=True):
    """Money went back. It took `credits`: those of the intended `refund`, or now, if it names none.

    `kind` is who sent it, None: unknown.
    """

    stage = "refund"
    words = "{amount_minor} went back for {credits}, {provider_refund}{kind: (%)|, not begun here}{facts:; %}"
    provider_payment: str
    provider_refund: str
    amount_minor: int
    currency: str
    credits: int
    refund: str = ""
    kind: RefundKind | None = None
    facts: MoneyFacts = MoneyFacts()


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
