"""A person with Stars, and the desk at a sandbox of Telegram's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.personal_data import PersonalData
from services.adapters.telegram import stars
from services.adapters.telegram.client import create_bot
from services.payments.orders import PaymentOrders
from services.payments.reconciliation import Reconciliation
from services.payments.refunds import Refunds
from services.payments.stars import StarsPayments, payload_of
from services.platform.database import create_pool
from services.sandbox import chat, control, telegram
from services.sandbox.app import Clock
from tests.support.outside import Outside, outside
from tests.support.payment_fixture import payment_settings

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

MODULES = {"/telegram": telegram.routes, "/chat": chat.routes, "/__sandbox": control.routes}
USER = 4243


class StarsFixture:
    """One person, their Stars, and the desk."""

    def __init__(self, pool: "Pool", desk: StarsPayments, sandbox: Outside) -> None:
        self.pool = pool
        self.stars = desk
        self.sandbox = sandbox
        self.people = PersonalData(pool)
        self.refunds = Refunds(desk.orders, desk)
        self.comparison = Reconciliation(pool, desk.orders, desk)
        self.account = ""

    async def enter(self) -> None:
        self.account = (await self.people.account_of(USER, "en")).account
        ledger = self.stars.orders.ledger
        await ledger.execute(c.OpenAccount(self.account, "0" * 64), key=f"open:{self.account}")
        await ledger.execute(c.AcceptTerms(self.account, "1", 0), key=f"terms:{self.account}")
        await self.sandbox.post(f"/chat/{USER}/send", {"text": "/start"})

    async def order(self) -> str:
        return await self.stars.orders.order(self.account, "credits-5", "stars", locale="en")

    async def pay(self, payment: str, user: int = USER) -> str:
        """The person pays and Telegram takes it; nobody has told us yet. The charge."""
        assert await self.stars.invoice(payment, user, title="5 credits", description="Credits")
        messages = (await self.sandbox.get(f"/chat/{user}/messages", after="0"))["messages"]
        invoice = next(m for m in reversed(messages) if "invoice" in m)
        body = {"message_id": invoice["message_id"], "wait": 0}
        query = (await self.sandbox.post(f"/chat/{user}/pay", body))["pre_checkout_query_id"]
        assert await stars.answer_pre_checkout(self.stars.bot, query, "")
        found = stars.movements(self.stars.bot, 0)
        return [m.charge async for m in found if isinstance(m, stars.StarMovement)][-1]

    async def told(self, payment: str, charge: str) -> str:
        """Telegram's message about it."""
        state = await self.stars.orders.ledger.read.payment(payment)
        assert state.ordered is not None
        return await self.stars.paid(payload_of(payment, state.ordered), self.account, charge, "XTR", 300)

    async def balance(self) -> int:
        return (await self.stars.orders.ledger.read.account(self.account)).balance


@asynccontextmanager
async def stars_till(database_url: str, ledger: Ledger) -> AsyncIterator[StarsFixture]:
    """The person has accepted the terms."""
    async with outside(MODULES, clock=Clock()) as sandbox:
        settings = payment_settings(database_url, sandbox.url)
        bot = create_bot(settings)
        try:
            async with await create_pool(settings, "test") as pool:
                orders, people = PaymentOrders(settings, ledger, pool), PersonalData(pool)
                shop = StarsFixture(pool, StarsPayments(orders, bot, people), sandbox)
                await shop.enter()
                yield shop
        finally:
            await bot.session.close()
