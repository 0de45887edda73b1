"""Reconciliation and refunds behind `neurocards payments reconcile|refund`."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiogram import Bot

from ledger.log.ledger import Ledger
from services.accounts.personal_data import PersonalData
from services.adapters.telegram.client import create_bot
from services.adapters.yookassa.gateway import YooKassa
from services.cli.commands.payments.queries import payment_named
from services.cli.connections import open_ledger
from services.payments.orders import PaymentOrders
from services.payments.provider import PaymentProvider
from services.payments.reconciliation import Reconciliation, Report
from services.payments.refunds import RefundPlan, Refunds, Sent
from services.payments.stars import StarsPayments
from services.payments.yookassa import YooKassaPayments
from services.platform.settings import Settings

if TYPE_CHECKING:
    from ledger.postgres import Pool


KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Operator:
    def __init__(self, settings: Settings, ledger: Ledger, pool: "Pool", shop: YooKassa, bot: Bot) -> None:
        self._ledger = ledger
        self._pool = pool
        self._orders = PaymentOrders(settings, ledger, pool)
        self._yookassa = YooKassaPayments(self._orders, shop)
        stars = StarsPayments(self._orders, bot, PersonalData(pool))
        self._providers: dict[str, PaymentProvider] = {"yookassa": self._yookassa, "stars": stars}

    async def compare(self, provider: str, days: int) -> Report:
        report = await Reconciliation(self._pool, self._orders, self._providers[provider]).run(days)
        assert report is not None  # nobody else's is waited for
        return report

    async def plan_refund(self, name: str, credits: int | None, key: str | None, *, look: bool) -> RefundPlan:
        """Plan a refund; `look`: after reading the payment from the provider anew.

        Raises NothingOfThatNameError, NothingToRefundError, and what the provider's adapter raises.
        """
        payment = await payment_named(self._pool, name)
        if look:
            await self._look(payment)
        return await (await self._of(payment)).plan(payment, credits, refund=key)

    async def _of(self, payment: str) -> Refunds:
        """The refunds of the payment's provider; either refuses a payment that was never ordered."""
        ordered = (await self._ledger.read.payment(payment)).ordered
        name = ordered.provider if ordered is not None else "yookassa"
        return Refunds(self._orders, self._providers[name])

    async def _look(self, payment: str) -> None:
        """YooKassa only: its cabinet may have refunded some. Stars go back as a whole, and by us alone."""
        state = await self._ledger.read.payment(payment)
        if state.ordered is None or state.ordered.provider != "yookassa":
            return
        for received in state.received:
            record = await self._yookassa.payment(received.provider_payment)
            await self._orders.settle(self._yookassa, record)

    async def done_before(self, name: str, key: str) -> Sent | None:
        """Resume the refund of this name; None when there is none."""
        payment = await payment_named(self._pool, name)
        sent = await (await self._of(payment)).follow(payment, key)
        return None if sent == "absent" else sent

    async def refund(self, plan: RefundPlan, actor: str, reason: str) -> Sent:
        return await (await self._of(plan.payment)).carry_out(plan, actor=actor, reason=reason)


@asynccontextmanager
async def operator(settings: Settings) -> AsyncIterator[Operator]:
    """Open the desk. Raises StartError with what to do."""
    async with open_ledger(settings) as (ledger, pool), YooKassa(settings) as shop:
        bot = create_bot(settings)
        try:
            yield Operator(settings, ledger, pool, shop, bot)
        finally:
            await bot.session.close()
