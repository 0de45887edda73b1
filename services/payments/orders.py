"""Payment orders, and settling what the provider says came of them.

    order ──▶ the provider's own module asks for it ──▶ … ──▶ settle, cancel or expire

The bot, a notification, the button "I have paid" and maintenance may report the same at once: each brings
what it read from the provider, and the ledger makes one of it.

    tracking rows ──▶ PaymentOrdered ──▶ words kept ──▶ provider asked ──▶ PaymentCreated

A process can die between any two of these. Before PaymentOrdered: nobody was asked, the row is swept away.
After it: maintenance finds the row and goes on with the same key and the same words.
"""

import asyncio
import contextlib
from typing import Literal

import msgspec
import structlog
from msgspec.structs import replace

from events.payment import PaymentOrdered, Provider
from ledger.accounts.state import AccountState
from ledger.errors import KeyReusedError, RejectedError
from ledger.log.ledger import Ledger
from ledger.payments.commands import (
    CancelPayment,
    ExpirePayment,
    OrderPayment,
    RecordPaymentCreated,
    RecordRefund,
    SettlePayment,
    key_of,
)
from ledger.payments.decider import ID_CHARS_MAX
from ledger.payments.state import PaymentState
from ledger.postgres import Pool
from services.payments.errors import ContactNeededError, NotForSaleError
from services.payments.metrics import SETTLED, alarm
from services.payments.packages import Package, load_packages
from services.payments.provider import PaymentProvider, ProviderPayment, ProviderRefund
from services.payments.tracking_store import TrackedPayment, TrackingStore
from services.payments.yookassa_messages import contact_in
from services.platform.ids import Code, new_id, told
from services.platform.settings import Settings

logger = structlog.get_logger()

Standing = Literal["ordered", "pending", "paid", "flagged", "cancelled", "expired"]
Outcome = Literal["credited", "known", "flagged", "pending", "cancelled", "foreign", "recorded"]


class PaymentView(msgspec.Struct, frozen=True):
    """A payment's state. `confirmation_url` only while it can be paid."""

    payment: str
    ordered: PaymentOrdered
    standing: Standing
    provider_payment: str = ""
    confirmation_url: str | None = None


class PaymentOrders:
    def __init__(
        self, settings: Settings, ledger: Ledger, pool: Pool, *, links: TrackingStore | None = None
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.links = links or TrackingStore(pool)
        self.packages = load_packages(settings)

    def package(self, package_id: str) -> Package:
        """Look up a package. Raises NotForSaleError."""
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
        """Order a package at today's price; the payment's id. Idempotent with `payment`.

        `contact` (e-mail or phone number, for the receipt) is needed when YOOKASSA_RECEIPTS is on. Raises
        NotForSaleError, ContactNeededError, the ledger's errors (TermsNotAcceptedError, Forgotten,
        LedgerBusyError, …) and Postgres's; after the last two it may stand: ask again with the same
        `payment`.
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
            buyer=package.buyer,
            country=package.country,
        )
        await self.links.reserve(
            TrackedPayment(payment, account, receipt_to, None, chat_id, message_id, draft), provider
        )
        try:
            await self.ledger.execute(command, key=key_of(command))
        except RejectedError:
            if (await self.ledger.read.payment(payment)).ordered is None:
                await self.links.release(payment)
            raise
        return payment

    async def view(self, payment: str) -> PaymentView | None:
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

    async def settle(self, provider: PaymentProvider, record: ProviderPayment) -> Outcome:
        """Record what a payment's record says, once. `foreign`: none of ours; that is alarmed."""
        if record.payment is None:
            return self._foreign(provider, record)
        state = await self.ledger.read.payment(record.payment)
        if record.status == "succeeded" and record.paid:
            ordered = state.ordered or record.ordered
            if ordered is None or not ordered.account:
                return self._foreign(provider, record)
            outcome = await self._credit(provider.name, record.payment, state, ordered.account, record)
            if record.refunded_minor:
                await self._sync_refunds(provider, record.payment, record)
            return outcome
        if record.status == "canceled":
            if state.ordered is None:  # lost with a part of the log, and nothing came of it
                return "cancelled"
            return await self.cancel(
                record.payment, provider.name, record.id, record.cancel_reason, record.cancel_party
            )
        if record.status == "waiting_for_capture":
            alarm("held", payment=record.payment, provider_payment=record.id)  # we always ask for capture
        if state.ordered is not None:
            if record.confirmation_url:  # first: once the payment counts as created, nobody asks for it again
                await self.links.set_url(record.payment, record.confirmation_url)
            command = RecordPaymentCreated(record.payment, record.id)
            await self.ledger.execute(command, key=key_of(command))
        return _count(provider.name, "pending")

    async def settle_refund(self, provider: PaymentProvider, refund: ProviderRefund) -> Outcome:
        """Record a refund, once; its payment first, should we not know of it."""
        if await self.links.refund_known(refund.id):
            return "known"
        if refund.status != "succeeded":
            return "pending"
        record = refund.of
        payment = (
            record.payment
            if record is not None
            else await self.links.payment_of(provider.name, refund.provider_payment)
        )
        state = await self.ledger.read.payment(payment) if payment else PaymentState()
        if payment is None or state.received_as(refund.provider_payment) is None:
            record = record or await provider.payment(refund.provider_payment)
            payment = record.payment
            if await self.settle(provider, record) == "foreign" or payment is None:
                return "foreign"
            state = await self.ledger.read.payment(payment)
        await self.record_refund(provider, payment, state, refund)
        return "recorded"

    async def record_refund(
        self, provider: PaymentProvider, payment: str, state: PaymentState, refund: ProviderRefund
    ) -> None:
        """Record a refund; the credits, too, unless they were reserved."""
        if refund.id in state.refunds or state.ordered is None:
            return
        named = refund.refund
        if named is None:
            intents = (i.refund for i in state.intents if i.provider_payment == refund.provider_payment)
            named = next(intents, "")
        command = RecordRefund(
            payment=payment,
            account=state.ordered.account,
            provider=provider.name,
            provider_payment=refund.provider_payment,
            provider_refund=refund.id,
            amount_minor=refund.amount_minor,
            refund=named,
            kind=refund.kind,
            facts=refund.facts,
        )
        await self.ledger.execute(command, key=key_of(command))
        if named:
            await self.links.unwatch(payment, named)
        else:
            alarm("refunded_elsewhere", payment=payment, provider_refund=refund.id)
        logger.info("payment_refunded", payment=payment, provider_refund=refund.id)

    async def _credit(
        self, provider: Provider, payment: str, before: PaymentState, owner: str, record: ProviderPayment
    ) -> Outcome:
        """Record money received, once; flagged when it is not what was ordered."""
        known = before.received_as(record.id)
        if known is not None and known.credits:
            await self.links.unwatch(payment)
            return _count(provider, "known")
        command = SettlePayment(
            payment=payment,
            account=owner if record.account is None else record.account,
            provider=provider,
            provider_payment=record.id,
            amount_minor=record.amount_minor,
            currency=record.currency,
            shop=record.shop,
            test=record.test,
            ordered=record.ordered and replace(record.ordered, account=record.account or owner),
            facts=record.facts,
        )
        await self.ledger.execute(command, key=key_of(command))
        after, buyer, _ = await asyncio.gather(
            self.ledger.read.payment(payment),
            self.ledger.read.account(command.account),
            self.links.unwatch(payment),
        )
        came = after.received_as(record.id)
        words = {"payment": payment, "provider_payment": record.id}
        if came is None or not came.credits:
            problems = [problem for name, problem in after.flags if name == record.id]
            if known is None:
                alarm("flagged", problem=", ".join(problems), amount_minor=record.amount_minor, **words)
            return _count(provider, "flagged")
        _notice(before, after, buyer, words)
        if record.ordered and record.ordered.account not in ("", command.account):
            alarm("paid_by_another", **words)
        logger.info("payment_credited", credits=came.credits, **words)
        return _count(provider, "credited")

    async def _sync_refunds(self, provider: PaymentProvider, payment: str, record: ProviderPayment) -> None:
        """Record refunds made in the provider's cabinet, unknown to the ledger."""
        state = await self.ledger.read.payment(payment)
        received = state.received_as(record.id)
        if received is None or received.refunded_minor == record.refunded_minor:
            return
        async for refund in provider.refunds_of(record.id):
            if refund.status == "succeeded":
                await self.record_refund(provider, payment, state, refund)

    def _foreign(self, provider: PaymentProvider, record: ProviderPayment) -> Outcome:
        alarm("foreign", provider_payment=record.id[:ID_CHARS_MAX], status=record.status)
        return _count(provider.name, "foreign")

    async def cancel(
        self, payment: str, provider: Provider, provider_payment: str, reason: str, party: str
    ) -> Outcome:
        """Record the provider's final no. No effect once money has come."""
        said, by = told(reason, Code) or "unknown", told(party, Code) or provider
        command = CancelPayment(payment, provider_payment, said, by)
        with contextlib.suppress(KeyReusedError):  # somebody recorded it before, in other words
            await self.ledger.execute(command, key=key_of(command))
        await self.links.unwatch(payment)
        return _count(provider, "cancelled")

    async def expire(self, payment: str, reason: Literal["unpaid", "never_made"]) -> None:
        command = ExpirePayment(payment, reason)
        with contextlib.suppress(KeyReusedError):
            await self.ledger.execute(command, key=key_of(command))
        await self.links.unwatch(payment)


def _count(provider: Provider, outcome: Outcome) -> Outcome:
    SETTLED.labels(provider, outcome).inc()
    return outcome


def _notice(before: PaymentState, after: PaymentState, buyer: AccountState, words: dict[str, str]) -> None:
    if before.succeeded:
        alarm("paid_twice", **words)
    if after.ordered is not None and after.ordered.restored and before.ordered is None:
        alarm("restored", **words)
    if before.cancelled or before.expired:
        logger.warning("payment_came_late", **words)
    if buyer.forgotten:
        alarm("forgotten_account", **words)


def standing_of(state: PaymentState) -> Standing:
    """One word for the state; money that came outweighs anything said before."""
    if state.succeeded:
        return "paid"
    if state.received:
        return "flagged"
    if state.cancelled:
        return "cancelled"
    if state.expired:
        return "expired"
    return "pending" if state.created else "ordered"
