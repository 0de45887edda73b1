"""Payments in Telegram Stars: invoices, pre-checkout, settlement, refunds.

`successful_payment` and `refunded_payment` come over our own connection with our own token: they are
believed. What was missed is found in Telegram's list (`reconciliation`).

An invoice's payload is all that Telegram keeps of an order: our payment's id, and enough to rebuild the order
should our log have gone back in time. An invoice stays in the chat, can be forwarded, and can be paid again.

A charge goes back as a whole, and once: asking again says that it has been done, so the same call finds out
an unknown outcome. Who paid is read from Telegram's list when the order's owner is erased or has not paid it.
"""

import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Final, Literal

import msgspec
import structlog
from aiogram import Bot

from events.payment import MoneyFacts, PaymentOrdered, Provider, RefundIntended
from ledger.accounts.state import AccountState
from ledger.payments.state import PaymentState
from services.accounts.personal_data import PersonalData
from services.adapters.telegram import stars
from services.adapters.telegram.stars import STARS, NotRefundableError, StarMovement, StarsNoAnswerError
from services.payments.errors import PaymentNotCreatedError
from services.payments.orders import Outcome, PaymentOrders, standing_of
from services.payments.provider import Listed, ProviderPayment, ProviderRefund, UnreadableRecord, refused
from services.platform.ids import Unreadable, is_id, is_outside_id

logger = structlog.get_logger()

PAYABLE: Final = ("ordered", "pending")
_VERSION: Final = "nc1"
_PARTS: Final = 6

Refusal = Literal["", "unknown", "foreign", "paid", "over", "price", "account", "paused"]
"""Why a payment must not go on; empty: it may."""


class Payload(msgspec.Struct, frozen=True):
    payment: str
    package: str
    credits: int
    life_s: int | None
    locale: str


class StarsPayments:
    name: Provider = "stars"
    currency = STARS
    parts = False

    def __init__(self, orders: PaymentOrders, bot: Bot, people: PersonalData) -> None:
        self.orders = orders
        self.bot = bot
        self._people = people

    async def invoice(self, payment: str, chat_id: int, *, title: str, description: str) -> bool:
        """Send the invoice of an ordered payment; False when it is paid or over.

        Asked twice it may come twice: only one can be paid (`refusal`). Raises PaymentNotCreatedError when
        there is no such payment, and aiogram's errors.
        """
        state = await self.orders.ledger.read.payment(payment)
        if state.ordered is None:
            raise PaymentNotCreatedError(f"there is no payment {payment}")
        if standing_of(state) not in PAYABLE:
            return False
        payload = payload_of(payment, state.ordered)
        await stars.send_invoice(self.bot, chat_id, title, description, payload, state.ordered.amount_minor)
        return True

    async def refusal(self, payload: str, account: str, currency: str, amount: int) -> Refusal:
        """Pre-checkout: whether Telegram may take the Stars, from the ledger as it is now."""
        known = payload_in(payload)
        if known is None:
            return "unknown"
        state = await self.orders.ledger.read.payment(known.payment)
        payer = await self.orders.ledger.read.account(account)
        sales = await self.orders.ledger.read.sales()
        paused = sales.closed(self.orders.ledger.now_us())
        return refusal_of(state, payer, account, currency, amount) or ("paused" if paused else "")

    async def owner(self, payload: str) -> str:
        """The account of an invoice's order; empty when the log has no such order."""
        known = payload_in(payload)
        ordered = known and (await self.orders.ledger.read.payment(known.payment)).ordered
        return ordered.account if ordered else ""

    async def paid(
        self, payload: str, payer: str, charge: str, currency: str, amount: int, at_s: int = 0
    ) -> Outcome:
        """Settle Stars taken for an invoice, once per charge: they are its owner's, whoever paid. `payer`,
        empty when unknown, gets the credits of an order that is not in the log."""
        return await self.orders.settle(self, _payment(payload, payer, charge, currency, amount, at_s))

    async def refunded(
        self, payload: str, payer: str, charge: str, currency: str, amount: int, at_s: int = 0
    ) -> Outcome:
        """Record a charge given back as a whole, once."""
        of = _payment(payload, payer, charge, currency, amount)
        return await self.orders.settle_refund(self, _refund(charge, amount, at_s, of=of))

    async def payment(self, provider_payment: str) -> ProviderPayment:
        return await self._payment_in(await self._movement(provider_payment, "in"))

    async def refund(self, provider_refund: str) -> ProviderRefund:
        return await self._refund_in(await self._movement(provider_refund, "out"))

    async def list(self, since: datetime.datetime) -> AsyncIterator[Listed]:
        """List movements, oldest first. Raises StarsNoAnswerError."""
        async for movement in stars.movements(self.bot, since.timestamp()):
            if isinstance(movement, Unreadable):
                yield UnreadableRecord("payment", movement.id, movement.reason)
            elif movement.direction == "in":
                yield await self._payment_in(movement)
            else:
                yield await self._refund_in(movement)

    async def refunds_of(self, provider_payment: str) -> AsyncIterator[ProviderRefund]:
        with contextlib.suppress(NotRefundableError):
            yield await self.refund(provider_payment)

    async def send_back(
        self, payment: str, ordered: PaymentOrdered, intent: RefundIntended
    ) -> ProviderRefund | None:
        """Refund Stars to the order's owner, or to whom Telegram's list names."""
        charge = intent.provider_payment
        person = await self._people.find(ordered.account)
        try:
            if person is None or not await self._sent_to(person.telegram_id, charge):
                # Perhaps somebody else has paid the invoice.
                await stars.refund(self.bot, (await self._movement(charge, "in")).user_id, charge)
        except StarsNoAnswerError as error:
            logger.warning("refund_unknown", payment=payment, refund=intent.refund, error=str(error))
            return None
        except NotRefundableError as error:
            return refused(ordered, intent, str(error).rpartition(": ")[2])
        return _refund(charge, intent.amount_minor, refund=intent.refund)

    async def _sent_to(self, user_id: int, charge: str) -> bool:
        with contextlib.suppress(NotRefundableError):
            await stars.refund(self.bot, user_id, charge)
            return True
        return False

    async def _movement(self, charge: str, direction: Literal["in", "out"]) -> StarMovement:
        """Find a charge's movement. Raises NotRefundableError, StarsNoAnswerError."""
        async for movement in stars.movements(self.bot, 0):
            if isinstance(movement, StarMovement) and (movement.charge, movement.direction) == (
                charge,
                direction,
            ):
                return movement
        raise NotRefundableError("Telegram's list has no such charge")

    async def _payment_in(self, movement: StarMovement) -> ProviderPayment:
        person = await self._people.of_telegram(movement.user_id)
        payer = person.account if person is not None else ""
        return _payment(
            movement.payload, payer, movement.charge, STARS, movement.amount, movement.at_s, movement.nano
        )

    async def _refund_in(self, movement: StarMovement) -> ProviderRefund:
        of = await self._payment_in(movement)
        return _refund(movement.charge, movement.amount, movement.at_s, movement.nano, of=of)


def _payment(
    payload: str, payer: str, charge: str, currency: str, amount: int, at_s: int = 0, nano: int | None = None
) -> ProviderPayment:
    known = payload_in(payload) if is_outside_id(charge) else None
    return ProviderPayment(
        id=charge,
        status="succeeded",
        paid=True,
        amount_minor=amount,
        currency=currency,
        created_at_s=at_s,
        payment=known.payment if known else None,
        ordered=_order_in(known, payer, amount) if known else None,
        account=None,
        facts=_facts(at_s, nano),
    )


def _refund(
    charge: str,
    amount: int,
    at_s: int = 0,
    nano: int | None = None,
    *,
    refund: str | None = None,
    of: ProviderPayment | None = None,
) -> ProviderRefund:
    return ProviderRefund(
        id=charge,
        provider_payment=charge,
        status="succeeded",
        amount_minor=amount,
        currency=STARS,
        created_at_s=at_s,
        refund=refund,
        of=of,
        facts=_facts(at_s, nano),
    )


def _facts(at_s: int, nano: int | None) -> MoneyFacts:
    return MoneyFacts(at_us=at_s * 1_000_000 or None, nano=nano, method="stars")


def payload_of(payment: str, ordered: PaymentOrdered) -> str:
    """Encode an order: at most 128 bytes, whatever the package."""
    life = "" if ordered.life_s is None else str(ordered.life_s)
    return ":".join((_VERSION, payment, ordered.package, str(ordered.credits), life, ordered.locale))


def payload_in(text: str) -> Payload | None:
    """Decode a payload; None when it is none of ours."""
    parts = text.split(":")
    if len(parts) != _PARTS or parts[0] != _VERSION or not is_id(parts[1]):
        return None
    _, payment, package, credits, life, locale = parts
    if not (credits.isdecimal() and (life.isdecimal() or not life)):
        return None
    return Payload(payment, package, int(credits), int(life) if life else None, locale)


def _order_in(payload: Payload, account: str, amount: int) -> PaymentOrdered:
    return PaymentOrdered(
        account=account,
        provider="stars",
        package=payload.package,
        credits=payload.credits,
        amount_minor=amount,
        currency=STARS,
        shop="",
        test=False,
        life_s=payload.life_s,
        line=payload.package,
        locale=payload.locale,
        restored=True,
    )


def refusal_of(state: PaymentState, payer: AccountState, account: str, currency: str, amount: int) -> Refusal:
    ordered = state.ordered
    if ordered is None or ordered.provider != "stars" or state.broken:
        return "unknown"
    if ordered.account != account:
        return "foreign"
    if state.received:
        return "paid"
    if state.cancelled or state.expired:
        return "over"
    if (currency, amount) != (ordered.currency, ordered.amount_minor):
        return "price"
    if payer.forgotten or payer.broken or not payer.opened:
        return "account"
    return ""
