"""Payment provider interface: money read, listed and sent back, in one shape.

How a payment begins is each one's own: YooKassa keeps one pending (`make`), Telegram takes Stars for an
invoice in a chat (`invoice`). See docs/decisions/payment-provider.md.
"""

import datetime
from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from events.payment import MoneyFacts, PaymentOrdered, Provider, RefundIntended, RefundKind


class ProviderPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as its provider tells it. `payment`: which of ours; None: none.

    `ordered` is the order it carries; `account` whose it says to be, None: its owner's. `refunded_minor` has
    gone back in all; None: the provider does not tell.
    """

    id: str
    status: Literal["pending", "waiting_for_capture", "succeeded", "canceled"]
    paid: bool
    amount_minor: int
    currency: str
    created_at_s: float
    payment: str | None
    ordered: PaymentOrdered | None
    account: str | None
    shop: str = ""
    test: bool = False
    refunded_minor: int | None = None
    confirmation_url: str | None = None
    cancel_reason: str = ""
    cancel_party: str = ""
    facts: MoneyFacts = MoneyFacts()


class ProviderRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as its provider tells it: money sent, pending or refused.

    `refund` is our name for it, empty: we did not ask; None: the provider keeps none. `kind` says who sent
    it, if we did not ask; None: unknown. `of` is the payment, where its provider tells both at once.
    """

    id: str
    provider_payment: str
    status: Literal["pending", "succeeded", "canceled"]
    amount_minor: int
    currency: str
    created_at_s: float
    refund: str | None
    of: ProviderPayment | None = None
    cancel_reason: str = ""
    kind: RefundKind | None = None
    facts: MoneyFacts = MoneyFacts()


class UnreadableRecord(msgspec.Struct, frozen=True):
    object: Literal["payment", "refund"]
    id: str
    reason: str


Listed = ProviderPayment | ProviderRefund | UnreadableRecord


class PaymentProvider(Protocol):
    """Reads, lists and refunds. Every call but `send_back` may raise what its adapter raises."""

    name: Provider
    currency: str
    parts: bool
    """Whether a part of a payment can go back."""

    async def payment(self, provider_payment: str) -> ProviderPayment:
        """The payment now. Raises NotFoundError or NotRefundableError when the provider knows none."""

    async def refund(self, provider_refund: str) -> ProviderRefund:
        """As `payment`."""

    def list(self, since: datetime.datetime) -> AsyncIterator[Listed]:
        """All payments and refunds since a time."""

    def refunds_of(self, provider_payment: str) -> AsyncIterator[ProviderRefund]:
        """All refunds of one payment, oldest of a page first."""

    async def send_back(
        self, payment: str, ordered: PaymentOrdered, intent: RefundIntended
    ) -> ProviderRefund | None:
        """Continue an intended refund; `canceled`: refused for good. None: unknown yet."""


def refused(ordered: PaymentOrdered, intent: RefundIntended, reason: str) -> ProviderRefund:
    return ProviderRefund(
        id="",
        provider_payment=intent.provider_payment,
        status="canceled",
        amount_minor=intent.amount_minor,
        currency=ordered.currency,
        created_at_s=0,
        refund=intent.refund,
        cancel_reason=reason,
    )
