"""Money that goes back: shown, reserved, sent once, whatever the provider does."""

import asyncio

import pytest
from msgspec.structs import replace

from ledger import commands as c
from projections.verify.run import check_ledger
from services.payments.errors import NothingToRefundError
from services.payments.refunds import RefundPlan
from tests.support.notifying import notified
from tests.support.payment_fixture import till
from tests.support.waiting import eventually


async def refund(shop, payment: str, credits: int | None = None) -> str:
    plan = await shop.refunds.plan(payment, credits)
    return str(await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry"))


async def spend(shop, payment: str, credits: int) -> None:
    account = (await shop.desk.view(payment)).ordered.account
    jobs = tuple(f"{payment}-{number}" for number in range(credits))
    order = c.OrderVideos(account, payment, jobs, 1, "m", "ugc", "p", "b", "ru", 900)
    await shop.ledger.execute(order, key=f"order:{payment}")


async def test_the_whole_and_parts(shop):
    whole, parts = await shop.paid(), await shop.paid(package="credits-30")
    assert await refund(shop, whole) == "refunded"
    for credits in (1, 7, 22):
        assert await refund(shop, parts, credits) == "refunded"
    books = await shop.credits_are_money()
    assert sorted((m.refunded_minor, m.revoked) for m in books.values()) == [(39_000, 5), (179_000, 30)]
    for payment in (whole, parts):
        with pytest.raises(NothingToRefundError):
            await shop.refunds.plan(payment)
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 0


async def test_what_it_would_do_is_shown_first(shop):
    payment = await shop.paid()
    await spend(shop, payment, 4)
    plan = await shop.refunds.plan(payment, 2)
    shown = (plan.amount_minor, plan.credits, plan.bought, plan.spent, plan.balance, plan.balance_after)
    assert shown == (15_600, 2, 5, 4, 1, -1)
    assert await shop.pool.fetchval("SELECT count(*) FROM events WHERE type = 'RefundIntended'") == 0
    for credits in (0, -1, 6):
        with pytest.raises(NothingToRefundError):
            await shop.refunds.plan(payment, credits)
    with pytest.raises(NothingToRefundError):
        await shop.refunds.plan(await shop.pending())
    assert await refund(shop, payment, 2) == "refunded"
    assert (await shop.ledger.read.account(plan.account)).balance == -1


async def test_what_expired_is_shown_and_not_taken_from_what_was_bought_later(shop):
    account, packages = await shop.buyer(), shop.desk.packages
    shop.desk.packages = tuple(replace(package, life_s=3) for package in packages)
    old = await shop.order(account)
    shop.desk.packages = packages
    assert (await shop.yookassa.make(old)).confirmation_url
    await shop.press(old)
    assert (await shop.yookassa.check(old)).standing == "paid"
    await spend(shop, old, 2)
    new = await shop.paid(account)

    async def over() -> bool:
        return bool((await shop.ledger.read.account(account)).balance == 5)

    await eventually(over)
    plan = await shop.refunds.plan(old)
    shown = (plan.bought, plan.spent, plan.gone, plan.credits, plan.lots, plan.owed, plan.balance_after)
    assert shown == (5, 2, 3, 2, {2: 2}, 0, 3)  # the spent ones are covered by what was bought later
    with pytest.raises(NothingToRefundError, match="2 credits are left, not 3"):
        await shop.refunds.plan(old, 3)
    assert await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry") == "refunded"
    assert (await shop.ledger.read.account(account)).balance == plan.balance_after
    assert await refund(shop, new) == "refunded"
    assert (await shop.ledger.read.account(account)).balance == -2
    assert await shop.pool.fetch("SELECT * FROM audit.unsettled_payments") == []
    assert await check_ledger(shop.pool) == []


@pytest.mark.parametrize("fault", ["500_before", "500_after", "429", "hang", "html_502", "reset"])
async def test_an_unknown_outcome_is_found_out_and_one_refund(shop, sandbox, fault):
    payment = await shop.paid()
    sandbox.fault("yookassa", "refund", fault)
    assert await refund(shop, payment) == "unknown"
    view = await shop.desk.view(payment)
    assert (await shop.ledger.read.account(view.ordered.account)).balance == 0  # reserved
    await shop.watching.run_once()
    assert len(shop.book()["refunds"]) == 1
    await shop.credits_are_money()
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 0


async def test_a_refusal_gives_the_credits_back(shop, alarms):
    payment = await shop.paid()
    plan = await shop.refunds.plan(payment)
    await shop.shop.create_refund(
        {"payment_id": plan.provider_payment, "amount": {"value": "390.00", "currency": "RUB"}}, "cabinet"
    )
    assert await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry") == "refused"
    said = "SELECT data ->> 'reason' FROM events WHERE type = 'RefundFailed'"
    assert await shop.pool.fetchval(said) == "invalid_request"
    (lot,) = (await shop.ledger.read.account(plan.account)).lots
    assert (lot.number, lot.amount, lot.kind) == (1, 5, "purchase")
    await shop.comparison.run(1)  # and the cabinet's one is found
    (money,) = (await shop.credits_are_money()).values()
    assert (money.refunded_minor, money.revoked) == (39_000, 5)
    assert alarms()["refund_failed"] == alarms()["refunded_elsewhere"] == 1


async def test_its_notification_comes_before_the_answer(shop, sandbox):
    payment = await shop.paid()
    plan = await shop.refunds.plan(payment, 2)
    sandbox.fault("yookassa", "refund", "hang", args={"after": True, "seconds": 3})
    async with notified(shop) as wire:
        sandbox.turn(yookassa_notification_url=wire.url)
        assert (
            await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry") == "unknown"
        )
        await shop.watching.run_once()
        await asyncio.gather(
            *(wire.send(shop.book()["refunds"][0]["id"], "refund.succeeded") for _ in range(5))
        )
    (money,) = (await shop.credits_are_money()).values()
    assert (money.refunded_minor, money.revoked) == (15_600, 2)


@pytest.mark.parametrize(("fault", "ended"), [("500_after", "refunded"), ("500_before", "refused")])
async def test_after_a_day_the_list_decides(shop, sandbox, fault, ended):
    payment = await shop.paid()
    plan = await shop.refunds.plan(payment)
    sandbox.fault("yookassa", "refund", fault)
    assert await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry") == "unknown"
    await shop.pool.execute("UPDATE payment_watch SET opened_at = opened_at - interval '26 hours'")
    assert await shop.refunds.follow(payment, plan.refund) == ended
    assert len(shop.book()["refunds"]) == (fault == "500_after")
    await shop.credits_are_money()


async def test_what_nobody_looks_after_any_more_is_not_sent_again(shop, sandbox):
    """Its row is lost, so nobody knows for how long it has been going on: only the list is searched."""
    payment = await shop.paid()
    plan = await shop.refunds.plan(payment)
    sandbox.fault("yookassa", "refund", "500_after")
    assert await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry") == "unknown"
    await shop.pool.execute("DELETE FROM payment_watch")
    await shop.links.rewatch(7)
    await shop.watching.run_once()
    assert len(shop.book()["refunds"]) == 1
    await shop.credits_are_money()


async def test_two_operators_at_once_do_not_send_more_than_came(shop, settings, ledger, pool, sandbox):
    payment = await shop.paid()
    plans: list[RefundPlan] = [await shop.refunds.plan(payment, 3) for _ in range(2)]
    async with till(settings, ledger, pool, sandbox) as other:
        done = await asyncio.gather(
            shop.refunds.carry_out(plans[0], actor="login:neurocards_operator", reason="r"),
            other.refunds.carry_out(plans[1], actor="login:neurocards_operator", reason="r"),
            return_exceptions=True,
        )
    assert sum(answer == "refunded" for answer in done) == 1
    await shop.credits_are_money()
    await shop.watching.run_once()
    assert len(shop.book()["refunds"]) == 1


async def test_wrong_credentials_leave_it_open(shop, settings, ledger, pool, sandbox, alarms):
    payment = await shop.paid()
    plan = await shop.refunds.plan(payment)
    wrong = settings.replace(yookassa_shop_id="100500", yookassa_secret_key="test_wrong",
                             yookassa_api_url=f"{sandbox.url}/yookassa/v3")  # fmt: skip
    async with till(wrong, ledger, pool, sandbox) as other:
        assert (
            await other.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry")
            == "unknown"
        )
    assert alarms() == {"refund_stuck": 1}
    assert await shop.refunds.follow(payment, plan.refund) == "refunded"
    assert await shop.refunds.follow(payment, plan.refund) == "over"
    await shop.credits_are_money()
