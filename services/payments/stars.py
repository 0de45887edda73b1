"""Payments in Telegram Stars. Telegram asks before it takes them, tells when it has, and keeps a list.

What it tells (`successful_payment`, `refunded_payment`) comes to us alone, over our own connection with our
own token: it is believed. What was missed is found in the list (`stars_comparison`).
"""

from typing import Final

import structlog
from aiogram import Bot

from ledger.payments.commands import RecordRefund, SettlePayment, key_of
from ledger.payments.decider import ID_CHARS_MAX
from services.adapters.telegram import stars
from services.payments import stars_messages as words
from services.payments.errors import PaymentNotCreatedError
from services.payments.metrics import SETTLED, alarm
from services.payments.orders import Outcome, PaymentOrders, standing_of
from services.platform.ids import is_outside_id

logger = structlog.get_logger()

PAYABLE: Final = ("ordered", "pending")


class StarsPayments:
    """The desk's hands at Telegram."""

    def __init__(self, desk: PaymentOrders, bot: Bot) -> None:
        self.desk = desk
        self.bot = bot

    async def invoice(self, payment: str, chat_id: int, *, title: str, description: str) -> bool:
        """Send the invoice of an ordered payment; False when it is paid or over already.

        Asked twice it may come twice: of several only one can be paid (`refusal`). Raises
        PaymentNotCreatedError when there
        is no such payment, and aiogram's errors.
        """
        state = await self.desk.ledger.read.payment(payment)
        if state.ordered is None:
            raise PaymentNotCreatedError(f"there is no payment {payment}")
        if standing_of(state) not in PAYABLE:
            return False
        await stars.send_invoice(
            self.bot,
            chat_id,
            title=title,
            description=description,
            payload=words.payload_of(payment, state.ordered),
            label=title,
            amount=state.ordered.amount_minor,
            start_parameter=words.START_PARAMETER,
        )
        return True

    async def refusal(self, payload: str, account: str, currency: str, amount: int) -> words.Refusal:
        """Whether Telegram may take the Stars, from the ledger as it is now."""
        known = words.payload_in(payload)
        if known is None:
            return "unknown"
        state = await self.desk.ledger.read.payment(known.payment)
        payer = await self.desk.ledger.read.account(account)
        return words.refusal(state, payer, account, currency, amount)

    async def owner(self, payload: str) -> str:
        """The account an invoice's order is of; empty when the log has no such order."""
        known = words.payload_in(payload)
        ordered = known and (await self.desk.ledger.read.payment(known.payment)).ordered
        return ordered.account if ordered else ""

    async def paid(self, payload: str, payer: str, charge: str, currency: str, amount: int) -> Outcome:
        """Telegram has taken Stars for an invoice: they are its owner's, whoever paid. Once per charge.

        `payer`, empty when nobody knows, gets the credits of an order that is not in the log.
        """
        known, owner = words.payload_in(payload), await self.owner(payload)
        account = owner or payer
        if known is None or not account or not is_outside_id(charge):
            alarm("foreign", provider_payment=charge[:ID_CHARS_MAX])
            SETTLED.labels("stars", "foreign").inc()
            return "foreign"
        outcome = await self.desk.credit(
            SettlePayment(
                payment=known.payment,
                account=account,
                provider="stars",
                provider_payment=charge,
                amount_minor=amount,
                currency=currency,
                shop="",
                test=False,
                ordered=words.order_in(known, account, amount),
            )
        )
        if outcome == "credited" and payer not in ("", account):
            alarm("paid_by_another", payment=known.payment, provider_payment=charge)
        return outcome

    async def refunded(self, payload: str, payer: str, charge: str, currency: str, amount: int) -> Outcome:
        """Telegram has given the Stars of a charge back. Once per charge: Stars go back as a whole."""
        known = words.payload_in(payload)
        state = await self.desk.ledger.read.payment(known.payment) if known else None
        if known is None or state is None or state.received_as(charge) is None:  # it must have come before
            outcome = await self.paid(payload, payer, charge, currency, amount)
            if known is None or outcome == "foreign":
                return "foreign"
        return await self.record_refund(known.payment, charge, amount)

    async def record_refund(self, payment: str, charge: str, amount: int) -> Outcome:
        """Tell the ledger that the Stars of a charge went back, as a whole: the charge names the refund."""
        state = await self.desk.ledger.read.payment(payment)
        if state.ordered is None or charge in state.refunds:
            return "known"
        intent = next((i.refund for i in state.intents if i.provider_payment == charge), "")
        command = RecordRefund(payment, state.ordered.account, "stars", charge, charge, amount, intent)
        await self.desk.ledger.execute(command, key=key_of(command))
        if intent:
            await self.desk.links.unwatch(payment, intent)
        else:
            alarm("refunded_elsewhere", payment=payment, provider_refund=charge)
        logger.info("payment_refunded", payment=payment, provider_refund=charge)
        return "recorded"
