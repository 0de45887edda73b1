"""The desk where credits are bought: orders, and what providers say came of them. Knows no provider.

    order ──▶ the provider's own module asks for it ──▶ … ──▶ credit, cancel or expire

Everything that happens to a payment can be told by several at once: the bot, a notification, the button "I
have paid", the monitor. Each brings what it read from the provider, and the ledger makes one of it.

    row of links and watch ──▶ PaymentOrdered ──▶ words kept ──▶ provider asked ──▶ PaymentCreated

A process can die between any two of these. Before PaymentOrdered: nobody was asked, the row is swept away.
After it: the monitor finds the row and goes on with the same key and the same words.
"""

import asyncio
import contextlib
from typing import Literal

import msgspec
import structlog

from events.payment import PaymentOrdered, Provider
from ledger.accounts.state import AccountState
from ledger.errors import KeyReusedError, RejectedError
from ledger.log.ledger import Ledger
from ledger.payments.commands import (
    CancelPayment,
    ExpirePayment,
    OrderPayment,
    RecordPaymentCreated,
    SettlePayment,
    key_of,
)
from ledger.payments.state import PaymentState
from ledger.postgres import Pool
from services.payments.errors import ContactNeededError, NotForSaleError
from services.payments.metrics import SETTLED, alarm
from services.payments.packages import Package, load_packages
from services.payments.tracking_store import TrackedPayment, TrackingStore
from services.payments.yookassa_messages import contact_in
from services.platform.ids import new_id
from services.platform.settings import Settings

logger = structlog.get_logger()

Standing = Literal["ordered", "pending", "paid", "flagged", "cancelled", "expired"]
Outcome = Literal["credited", "known", "flagged", "pending", "cancelled", "foreign", "recorded"]


class PaymentView(msgspec.Struct, frozen=True):
    """How a payment stands. `confirmation_url` only while it can be paid."""

    payment: str
    ordered: PaymentOrdered
    standing: Standing
    provider_payment: str = ""
    confirmation_url: str | None = None


class PaymentOrders:
    """Orders payments and records what became of them."""

    def __init__(
        self, settings: Settings, ledger: Ledger, pool: Pool, *, links: TrackingStore | None = None
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.links = links or TrackingStore(pool)
        self.packages = load_packages(settings)

    def package(self, package_id: str) -> Package:
        """Raises NotForSaleError."""
        for package in self.packages:
            if package.id == package_id:
                return package
        raise NotForSaleError(f"no package is called {package_id!r}")

    async def order(
        self,
        account: str,
        package_id: str,
        provider: Provider,
        *,
        locale: str,
        contact: str | None = None,
        chat_id: int | None = None,
        message_id: int | None = None,
        draft: str | None = None,
        payment: str | None = None,
    ) -> str:
        """Order a package at today's price; the payment's id. With `payment`, asking twice is asking once.

        `contact` is where the receipt goes: an e-mail or a phone number, needed when YOOKASSA_RECEIPTS is on.
        Raises NotForSaleError, ContactNeededError, what the ledger raises (TermsNotAcceptedError, Forgotten,
        LedgerBusyError, …) and
        what an absent database raises; after the last two it may stand: ask again with the same `payment`.
        """
        package = self.package(package_id)
        price = package.price(provider)
        if price is None:
            raise NotForSaleError(f"package {package_id} is not sold by {provider}")
        receipt_to = contact_in(contact) if contact else None
        if provider == "yookassa" and self.settings.yookassa_receipts and receipt_to is None:
            raise ContactNeededError("the receipt needs an e-mail address or a phone number")
        payment = payment or new_id()
        command = OrderPayment(
            payment=payment,
            account=account,
            provider=provider,
            package=package.id,
            credits=package.credits,
            amount_minor=price.amount_minor,
            currency=price.currency,
            shop=self.settings.yookassa_shop if provider == "yookassa" else "",
            test=self.settings.yookassa_test if provider == "yookassa" else False,
            life_s=package.life_s,
            line=package.line,
            locale=locale,
        )
        await self.links.open(
            TrackedPayment(payment, account, receipt_to, None, chat_id, message_id, draft), provider
        )
        try:
            await self.ledger.execute(command, key=key_of(command))
        except RejectedError:
            if (await self.ledger.read.payment(payment)).ordered is None:
                await self.links.unopen(payment)
            raise
        return payment

    async def view(self, payment: str) -> PaymentView | None:
        """How it stands in the ledger; None when there is no such payment."""
        state = await self.ledger.read.payment(payment)
        if state.ordered is None:
            return None
        standing = standing_of(state)
        link = await self.links.link(payment) if standing == "pending" else None
        paid = [received.provider_payment for received in state.received]
        return PaymentView(
            payment,
            state.ordered,
            standing,
            provider_payment=next(iter((*paid, *reversed(state.created))), ""),
            confirmation_url=link.confirmation_url if link else None,
        )

    async def credit(self, command: SettlePayment, before: PaymentState | None = None) -> Outcome:
        """Record money as it was read from the provider, once; flagged when it is not what was ordered.

        `before` is the payment's state, if the caller has just read it.
        """
        before = before or await self.ledger.read.payment(command.payment)
        known = before.received_as(command.provider_payment)
        if known is not None and known.credits:
            await self.links.unwatch(command.payment)
            return self._count(command.provider, "known")
        await self.ledger.execute(command, key=key_of(command))
        after, buyer, _ = await asyncio.gather(
            self.ledger.read.payment(command.payment),
            self.ledger.read.account(command.account),
            self.links.unwatch(command.payment),
        )
        came = after.received_as(command.provider_payment)
        words = {"payment": command.payment, "provider_payment": command.provider_payment}
        if came is None or not came.credits:
            problems = [problem for name, problem in after.flags if name == command.provider_payment]
            if known is None:
                alarm("flagged", problem=", ".join(problems), amount_minor=command.amount_minor, **words)
            return self._count(command.provider, "flagged")
        _notice(before, after, buyer, words)
        logger.info("payment_credited", credits=came.credits, **words)
        return self._count(command.provider, "credited")

    async def created(self, payment: str, provider_payment: str) -> None:
        """Record that the provider knows the payment."""
        command = RecordPaymentCreated(payment, provider_payment)
        await self.ledger.execute(command, key=key_of(command))

    async def cancel(
        self, payment: str, provider: Provider, provider_payment: str, reason: str, party: str
    ) -> Outcome:
        """Record the provider's final no. Changes nothing once money has come."""
        command = CancelPayment(payment, provider_payment, reason or "unknown", party or provider)
        with contextlib.suppress(KeyReusedError):  # somebody recorded it before, in other words
            await self.ledger.execute(command, key=key_of(command))
        await self.links.unwatch(payment)
        return self._count(provider, "cancelled")

    async def expire(self, payment: str, reason: str) -> None:
        """Stop asking about it."""
        command = ExpirePayment(payment, reason)
        with contextlib.suppress(KeyReusedError):
            await self.ledger.execute(command, key=key_of(command))
        await self.links.unwatch(payment)

    def _count(self, provider: str, outcome: Outcome) -> Outcome:
        SETTLED.labels(provider, outcome).inc()
        return outcome


def _notice(before: PaymentState, after: PaymentState, buyer: AccountState, words: dict[str, str]) -> None:
    """Tell what is unusual about money that was credited."""
    if before.succeeded:
        alarm("paid_twice", **words)
    if after.ordered is not None and after.ordered.restored and before.ordered is None:
        alarm("restored", **words)
    if before.cancelled or before.expired:
        logger.warning("payment_came_late", **words)
    if buyer.forgotten:
        alarm("forgotten_account", **words)


def standing_of(state: PaymentState) -> Standing:
    """In one word; money that came counts more than anything said before."""
    if state.succeeded:
        return "paid"
    if state.received:
        return "flagged"
    if state.cancelled:
        return "cancelled"
    if state.expired:
        return "expired"
    return "pending" if state.created else "ordered"
