"""Stars at the desk: refunds on an operator's word, and Telegram's list against the ledger."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger import commands as c
from ledger.log import Ledger
from services.adapters import telegram_stars
from services.adapters.telegram import create_bot
from services.adapters.yookassa.gateway import YooKassa
from services.sandbox import chat, control, telegram
from services.sandbox.context import WallClock
from services.shared.database import create_pool
from services.shared.payments.desk import Desk
from services.shared.payments.errors import NothingToRefund
from services.shared.payments.links import Links
from services.shared.payments.refunds import YooKassaRefunds
from services.shared.payments.stars_comparison import StarsComparison
from services.shared.payments.stars_desk import StarsDesk
from services.shared.payments.stars_refunds import StarsRefunds
from services.shared.payments.stars_words import payload_of
from services.shared.payments.watching import Watching
from services.shared.payments.yookassa_desk import YooKassaDesk
from services.shared.people import People
from tests.support.outside import Outside, outside
from tests.support.services import clean_environment
from tests.support.till import till_settings
from tests.support.zygote import neurocards

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

MODULES = {"/telegram": telegram.routes, "/chat": chat.routes, "/__sandbox": control.routes}
USER = 4243


class StarsTill:
    """One person, their Stars, and the desk."""

    def __init__(self, pool: "Pool", desk: StarsDesk, sandbox: Outside) -> None:
        self.pool = pool
        self.stars = desk
        self.sandbox = sandbox
        self.people = People(pool)
        self.refunds = StarsRefunds(desk, self.people)
        self.comparison = StarsComparison(pool, desk, self.people)
        self.account = ""

    async def enter(self) -> None:
        self.account = (await self.people.account_of(USER, "en")).account
        ledger = self.stars.desk.ledger
        await ledger.execute(c.OpenAccount(self.account), key=f"open:{self.account}")
        await ledger.execute(c.AcceptTerms(self.account, "1", 0), key=f"terms:{self.account}")
        await self.sandbox.post(f"/chat/{USER}/send", {"text": "/start"})

    async def order(self) -> str:
        return await self.stars.desk.order(self.account, "credits-5", "stars", locale="en")

    async def pay(self, payment: str) -> str:
        """The person pays and Telegram takes it; nobody has told us yet. The charge."""
        assert await self.stars.invoice(payment, USER, title="5 credits", description="Credits")
        messages = (await self.sandbox.get(f"/chat/{USER}/messages", after="0"))["messages"]
        invoice = next(m for m in reversed(messages) if "invoice" in m)
        body = {"message_id": invoice["message_id"], "wait": 0}
        query = (await self.sandbox.post(f"/chat/{USER}/pay", body))["pre_checkout_query_id"]
        assert await telegram_stars.answer_pre_checkout(self.stars.bot, query, "")
        return [movement.charge async for movement in telegram_stars.movements(self.stars.bot, 0)][-1]

    async def told(self, payment: str, charge: str) -> str:
        """Telegram's message about it."""
        state = await self.stars.desk.ledger.read.payment(payment)
        assert state.ordered is not None
        return await self.stars.paid(payload_of(payment, state.ordered), self.account, charge, "XTR", 300)

    async def balance(self) -> int:
        return (await self.stars.desk.ledger.read.account(self.account)).balance


@pytest.fixture
async def shop(database_url: str, ledger: Ledger) -> AsyncIterator[StarsTill]:
    async with outside(MODULES, clock=WallClock()) as sandbox:
        settings = till_settings(database_url, sandbox.url)
        bot = create_bot(settings)
        try:
            async with await create_pool(settings, "test") as pool:
                shop = StarsTill(pool, StarsDesk(Desk(settings, ledger, pool), bot), sandbox)
                await shop.enter()
                yield shop
        finally:
            await bot.session.close()


async def test_a_refund_goes_back_as_a_whole_and_once(shop: StarsTill) -> None:
    payment = await shop.order()
    charge = await shop.pay(payment)
    assert await shop.told(payment, charge) == "credited"
    with pytest.raises(NothingToRefund, match="as a whole"):
        await shop.refunds.plan(payment, 2)
    plan = await shop.refunds.plan(payment)
    assert (plan.credits, plan.amount_minor, plan.currency) == (5, 300, "XTR")
    assert await shop.refunds.carry_out(plan, actor="me", reason="asked") == "refunded"
    assert await shop.balance() == 0
    assert await shop.refunds.follow(payment, plan.refund) == "over"
    ordered = (await shop.stars.desk.ledger.read.payment(payment)).ordered
    assert ordered is not None
    words = payload_of(payment, ordered)
    assert await shop.stars.refunded(words, shop.account, charge, "XTR", 300) == "known"
    assert await shop.balance() == 0
    with pytest.raises(NothingToRefund):
        await shop.refunds.plan(payment)


async def test_a_refund_whose_process_died_after_telegram_is_found_out(shop: StarsTill) -> None:
    payment = await shop.order()
    charge = await shop.pay(payment)
    await shop.told(payment, charge)
    plan = await shop.refunds.plan(payment)
    await telegram_stars.refund(shop.stars.bot, USER, charge)
    assert await shop.refunds.carry_out(plan, actor="me", reason="asked") == "refunded"
    assert await shop.balance() == 0


async def test_a_charge_telegram_does_not_know_gives_the_credits_back(shop: StarsTill) -> None:
    payment = await shop.order()
    await shop.told(payment, "stx-nobody-knows")
    plan = await shop.refunds.plan(payment)
    assert await shop.refunds.carry_out(plan, actor="me", reason="asked") == "refused"
    assert await shop.balance() == 5


async def test_while_telegram_is_away_the_credits_stay_reserved(shop: StarsTill) -> None:
    payment = await shop.order()
    await shop.told(payment, await shop.pay(payment))
    shop.sandbox.fault("telegram", "refundStarPayment", "drop_before")
    plan = await shop.refunds.plan(payment)
    assert await shop.refunds.carry_out(plan, actor="me", reason="asked") == "unknown"
    assert await shop.balance() == 0
    assert await shop.refunds.follow(payment, plan.refund) == "refunded"


async def test_the_list_brings_what_was_never_told(shop: StarsTill) -> None:
    """A payment and a refund whose messages were lost."""
    payment = await shop.order()
    charge = await shop.pay(payment)
    report = await shop.comparison.run(7)
    assert report is not None and (report.payments, report.refunds) == (1, 0)
    assert report.open_differences == [] and await shop.balance() == 5
    await telegram_stars.refund(shop.stars.bot, USER, charge)
    report = await shop.comparison.run(7)
    assert report is not None and (report.payments, report.refunds) == (1, 1)
    assert report.open_differences == [] and await shop.balance() == 0
    assert await shop.comparison.run(7, every_s=3600) is None


async def test_the_list_rebuilds_an_order_that_the_log_has_lost(shop: StarsTill) -> None:
    """Paid by an invoice whose payment is not in the log: as after going back in time."""
    payment = "0123456789abcdef01234567"
    ordered = (await shop.stars.desk.ledger.read.payment(await shop.order())).ordered
    assert ordered is not None
    await telegram_stars.send_invoice(
        shop.stars.bot, USER, title="t", description="d", payload=payload_of(payment, ordered), label="t",
        amount=300,
    )  # fmt: skip
    messages = (await shop.sandbox.get(f"/chat/{USER}/messages", after="0"))["messages"]
    body = {"message_id": messages[-1]["message_id"], "wait": 0}
    query = (await shop.sandbox.post(f"/chat/{USER}/pay", body))["pre_checkout_query_id"]
    await telegram_stars.answer_pre_checkout(shop.stars.bot, query, "")
    report = await shop.comparison.run(7)
    assert report is not None and report.open_differences == []
    restored = (await shop.stars.desk.ledger.read.payment(payment)).ordered
    assert restored is not None and restored.restored and restored.credits == 5
    assert await shop.balance() == 5


async def test_what_telegram_does_not_list_is_extra(shop: StarsTill) -> None:
    await shop.told(await shop.order(), "stx-nobody-knows")
    report = await shop.comparison.run(7)
    assert report is not None
    assert [(found.kind, found.ours_minor) for found in report.open_differences] == [("extra", 300)]


async def test_the_list_is_entered_at_the_days_that_are_compared(shop: StarsTill) -> None:
    """However long it is: far fewer calls than it has pages."""
    payment = await shop.order()
    charge = await shop.pay(payment)
    store = shop.sandbox.ctx.store
    ((_, newest),) = store.all("telegram_star_transaction")
    for old in range(1, 1501):
        store.put(
            "telegram_star_transaction", str(old), newest | {"id": f"old{old}", "date": 1_000_000 + old}
        )
    store.put("telegram_star_transaction", "1501", newest)
    found = [m.charge async for m in telegram_stars.movements(shop.stars.bot, newest["date"] - 60)]
    assert found == [charge]


async def test_the_monitor_follows_an_open_refund_to_its_end(shop: StarsTill) -> None:
    payment = await shop.order()
    await shop.told(payment, await shop.pay(payment))
    shop.sandbox.fault("telegram", "refundStarPayment", "drop_before")
    plan = await shop.refunds.plan(payment)
    assert await shop.refunds.carry_out(plan, actor="me", reason="asked") == "unknown"
    desk = shop.stars.desk
    links = Links(shop.pool, first_look_s=0)
    await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    async with YooKassa(desk.settings) as yookassa:
        other = YooKassaDesk(Desk(desk.settings, desk.ledger, shop.pool, links=links), yookassa)
        assert await Watching(other, YooKassaRefunds(other), shop.refunds).run_once() == 1
    assert plan.refund in (await desk.ledger.read.payment(payment)).closed
    assert await shop.balance() == 0


async def test_the_commands_refund_stars_and_compare_them(
    shop: StarsTill, database_url: str, tmp_path: Path
) -> None:
    env = clean_environment(DATABASE_URL=database_url, SANDBOX_URL=shop.sandbox.url)

    async def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, ["payments", *words, "-o", "json"], cwd=tmp_path, env=env)

    payment = await shop.order()
    await shop.pay(payment)  # Telegram's message about it is lost
    compared = await run("reconcile", "--provider", "stars")
    assert compared.returncode == 0 and "1 payments and 0 refunds compared" in compared.stderr
    assert (
        json.loads(compared.stdout) == []
    )  # so fresh that it may still be told: no difference, but credited
    assert await shop.balance() == 5
    why = ("--reason", "asked", "--actor", "support-1", "--yes")
    part = await run("refund", payment, "--credits", "2", *why)
    assert part.returncode == 1 and "as a whole" in part.stderr
    done = await run("refund", payment, *why)
    assert done.returncode == 0, done.stderr
    assert await shop.balance() == 0
    assert [movement.direction async for movement in telegram_stars.movements(shop.stars.bot, 0)] == [
        "in", "out",
    ]  # fmt: skip
