"""Stars at the desk: refunds on an operator's word, and Telegram's list against the ledger."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from services.adapters.telegram import stars
from services.adapters.yookassa.gateway import YooKassa
from services.payments.errors import NothingToRefundError
from services.payments.follow_up import FollowUp
from services.payments.orders import PaymentOrders
from services.payments.stars import payload_of
from services.payments.tracking_store import TrackingStore
from services.payments.yookassa import YooKassaPayments
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment
from tests.support.stars_fixture import USER, StarsFixture


async def test_a_refund_goes_back_as_a_whole_and_once(stars_shop: StarsFixture) -> None:
    payment = await stars_shop.order()
    charge = await stars_shop.pay(payment)
    assert await stars_shop.told(payment, charge) == "credited"
    with pytest.raises(NothingToRefundError, match="as a whole"):
        await stars_shop.refunds.plan(payment, 2)
    plan = await stars_shop.refunds.plan(payment)
    assert (plan.credits, plan.amount_minor, plan.currency) == (5, 300, "XTR")
    assert (
        await stars_shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
        == "refunded"
    )
    assert await stars_shop.balance() == 0
    assert await stars_shop.refunds.follow(payment, plan.refund) == "over"
    ordered = (await stars_shop.stars.orders.ledger.read.payment(payment)).ordered
    assert ordered is not None
    words = payload_of(payment, ordered)
    assert await stars_shop.stars.refunded(words, stars_shop.account, charge, "XTR", 300) == "known"
    assert await stars_shop.balance() == 0
    with pytest.raises(NothingToRefundError):
        await stars_shop.refunds.plan(payment)


async def test_a_refund_whose_process_died_after_telegram_is_found_out(stars_shop: StarsFixture) -> None:
    payment = await stars_shop.order()
    charge = await stars_shop.pay(payment)
    await stars_shop.told(payment, charge)
    plan = await stars_shop.refunds.plan(payment)
    await stars.refund(stars_shop.stars.bot, USER, charge)
    assert (
        await stars_shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
        == "refunded"
    )
    assert await stars_shop.balance() == 0


async def test_a_charge_telegram_does_not_know_gives_the_credits_back(stars_shop: StarsFixture) -> None:
    payment = await stars_shop.order()
    await stars_shop.told(payment, "stx-nobody-knows")
    plan = await stars_shop.refunds.plan(payment)
    assert (
        await stars_shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
        == "refused"
    )
    assert await stars_shop.balance() == 5


async def test_while_telegram_is_away_the_credits_stay_reserved(stars_shop: StarsFixture) -> None:
    payment = await stars_shop.order()
    await stars_shop.told(payment, await stars_shop.pay(payment))
    stars_shop.sandbox.fault("telegram", "refundStarPayment", "drop_before")
    plan = await stars_shop.refunds.plan(payment)
    assert (
        await stars_shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
        == "unknown"
    )
    assert await stars_shop.balance() == 0
    assert await stars_shop.refunds.follow(payment, plan.refund) == "refunded"


async def test_the_list_brings_what_was_never_told(stars_shop: StarsFixture) -> None:
    """A payment and a refund whose messages were lost."""
    payment = await stars_shop.order()
    charge = await stars_shop.pay(payment)
    report = await stars_shop.comparison.run(7)
    assert report is not None and (report.payments, report.refunds) == (1, 0)
    assert report.open_differences == [] and await stars_shop.balance() == 5
    await stars.refund(stars_shop.stars.bot, USER, charge)
    report = await stars_shop.comparison.run(7)
    assert report is not None and (report.payments, report.refunds) == (1, 1)
    assert report.open_differences == [] and await stars_shop.balance() == 0
    assert await stars_shop.comparison.run(7, every_s=3600) is None


async def test_the_list_rebuilds_an_order_that_the_log_has_lost(stars_shop: StarsFixture) -> None:
    """Paid by an invoice whose payment is not in the log: as after going back in time."""
    payment = "0123456789abcdef01234567"
    ordered = (await stars_shop.stars.orders.ledger.read.payment(await stars_shop.order())).ordered
    assert ordered is not None
    await stars.send_invoice(stars_shop.stars.bot, USER, "t", "d", payload_of(payment, ordered), 300)
    messages = (await stars_shop.sandbox.get(f"/chat/{USER}/messages", after="0"))["messages"]
    body = {"message_id": messages[-1]["message_id"], "wait": 0}
    query = (await stars_shop.sandbox.post(f"/chat/{USER}/pay", body))["pre_checkout_query_id"]
    await stars.answer_pre_checkout(stars_shop.stars.bot, query, "")
    report = await stars_shop.comparison.run(7)
    assert report is not None and report.open_differences == []
    restored = (await stars_shop.stars.orders.ledger.read.payment(payment)).ordered
    assert restored is not None and restored.restored and restored.credits == 5
    assert await stars_shop.balance() == 5


async def test_what_telegram_does_not_list_is_extra(stars_shop: StarsFixture) -> None:
    await stars_shop.told(await stars_shop.order(), "stx-nobody-knows")
    report = await stars_shop.comparison.run(7)
    assert report is not None
    assert [(found.kind, found.ours_minor) for found in report.open_differences] == [("extra", 300)]


async def test_the_list_is_entered_at_the_days_that_are_compared(stars_shop: StarsFixture) -> None:
    """However long it is: far fewer calls than it has pages."""
    payment = await stars_shop.order()
    charge = await stars_shop.pay(payment)
    store = stars_shop.sandbox.ctx.store
    ((_, newest),) = store.all("telegram_star_transaction")
    for old in range(1, 1501):
        store.put(
            "telegram_star_transaction", str(old), newest | {"id": f"old{old}", "date": 1_000_000 + old}
        )
    store.put("telegram_star_transaction", "1501", newest)
    found = [m async for m in stars.movements(stars_shop.stars.bot, newest["date"] - 60)]
    assert [getattr(movement, "charge", "") for movement in found] == [charge]


async def test_the_monitor_follows_an_open_refund_to_its_end(stars_shop: StarsFixture) -> None:
    payment = await stars_shop.order()
    await stars_shop.told(payment, await stars_shop.pay(payment))
    stars_shop.sandbox.fault("telegram", "refundStarPayment", "drop_before")
    plan = await stars_shop.refunds.plan(payment)
    assert (
        await stars_shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
        == "unknown"
    )
    desk = stars_shop.stars.orders
    links = TrackingStore(stars_shop.pool, first_look_s=0)
    await stars_shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    async with YooKassa(desk.settings) as yookassa:
        other = YooKassaPayments(
            PaymentOrders(desk.settings, desk.ledger, stars_shop.pool, links=links), yookassa
        )
        assert await FollowUp(other, stars_shop.stars).run_once() == 1
    assert plan.refund in (await desk.ledger.read.payment(payment)).closed
    assert await stars_shop.balance() == 0


async def test_the_commands_refund_stars_and_compare_them(
    stars_shop: StarsFixture, database_url: str, tmp_path: Path
) -> None:
    env = clean_environment(DATABASE_URL=database_url, SANDBOX_URL=stars_shop.sandbox.url)

    async def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, ["payments", *words, "-o", "json"], cwd=tmp_path, env=env)

    payment = await stars_shop.order()
    await stars_shop.pay(payment)  # Telegram's message about it is lost
    compared = await run("reconcile", "--provider", "stars")
    assert compared.returncode == 0 and "1 payments and 0 refunds compared" in compared.stderr
    assert (
        json.loads(compared.stdout) == []
    )  # so fresh that it may still be told: no difference, but credited
    assert await stars_shop.balance() == 5
    why = ("--reason", "asked", "--yes")
    part = await run("refund", payment, "--credits", "2", *why)
    assert part.returncode == 1 and "as a whole" in part.stderr
    done = await run("refund", payment, *why)
    assert done.returncode == 0, done.stderr
    assert await stars_shop.balance() == 0
    found = [movement async for movement in stars.movements(stars_shop.stars.bot, 0)]
    assert [getattr(movement, "direction", None) for movement in found] == ["in", "out"]
