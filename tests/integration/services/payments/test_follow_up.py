"""The part of maintenance: following until the end, comparing the books, and saying what differs."""

import asyncio
import typing
from functools import partial

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ledger.payments import commands as p
from projections.engine.runner import Runner
from projections.models.payments import PAYMENTS
from services.maintenance.gauges import measure_payments
from services.maintenance.main import compare_books
from services.payments.follow_up import FollowUp
from services.payments.reconciliation import Kind
from tests.support.payment_fixture import till

EARLIER = "UPDATE payment_comparisons SET began_at = began_at - interval '11 minutes'"


async def aged(shop, days: float) -> None:
    await shop.pool.execute(
        "UPDATE payment_watch SET opened_at = opened_at - make_interval(secs => $1)", days * 86_400
    )


async def test_what_nobody_told_is_found(shop):
    paid, declined, open_still = [await shop.pending() for _ in range(3)]
    await shop.press(paid)
    await shop.press(declined, "decline")
    await shop.watching.run_once()
    standings = [(await shop.desk.view(payment)).standing for payment in (paid, declined, open_still)]
    assert standings == ["paid", "cancelled", "pending"]
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 1
    await shop.credits_are_money()


async def test_looks_get_rarer(shop):
    payment = await shop.pending()
    pauses = []
    for days in (0.01, 0.1, 1):
        await aged(shop, days)
        await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
        await shop.watching.run_once()
        pauses.append(
            await shop.pool.fetchval(
                "SELECT extract(epoch FROM due_at - clock_timestamp())::float8 FROM payment_watch"
            )
        )
    assert 100 < pauses[0] < pauses[1] < pauses[2] <= 6 * 3600
    assert (await shop.desk.view(payment)).standing == "pending"


async def test_given_up_after_a_week_and_credited_when_it_is_paid_after_all(shop):
    payment = await shop.pending()
    await aged(shop, 8)
    await shop.watching.run_once()
    assert (await shop.desk.view(payment)).standing == "expired"
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 0
    await shop.press(payment)
    report = await shop.comparison.run(1)
    assert report.payments == 1
    assert (await shop.desk.view(payment)).standing == "paid"
    await shop.credits_are_money()


async def test_given_up_by_a_clock_that_was_ahead_and_watched_again_it_is_looked_at_for_a_week(shop):
    payment = await shop.pending()
    await shop.desk.expire(payment, "unpaid")
    for standing, watched in (("expired", 1), ("paid", 0)):
        await shop.pool.execute("DELETE FROM payment_watch")
        await shop.links.watch(payment, "", "a", "yookassa")
        await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
        await shop.watching.run_once()
        assert (await shop.desk.view(payment)).standing == standing
        assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == watched
        if watched:
            await shop.press(payment)
    late = await shop.pending()
    await shop.desk.expire(late, "unpaid")
    await shop.links.watch(late, "", "a", "yookassa")
    await aged(shop, 8)
    await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    await shop.watching.run_once()
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 0


async def test_paid_on_the_last_day_is_credited_and_not_given_up(shop):
    payment = await shop.pending()
    await shop.press(payment)
    await aged(shop, 8)
    await shop.watching.run_once()
    assert (await shop.desk.view(payment)).standing == "paid"
    assert await shop.pool.fetchval("SELECT count(*) FROM events WHERE type = 'PaymentExpired'") == 0


async def test_two_monitors_on_forty_payments(shop, settings, ledger, pool, sandbox):
    payments = await asyncio.gather(*(shop.pending() for _ in range(40)))
    await asyncio.gather(*(shop.press(payment) for payment in payments))
    async with till(settings, ledger, pool, sandbox) as other:

        async def all_of(watching: FollowUp) -> None:
            while await watching.run_once():
                pass

        await asyncio.gather(all_of(shop.watching), all_of(other.watching))
    assert len(await shop.credits_are_money()) == 40


async def test_one_that_cannot_be_looked_at_keeps_no_other(shop, alarms, monkeypatch):
    broken, good = await shop.pending(), await shop.pending()
    await shop.press(good)
    check = shop.yookassa.check

    async def checking(payment):
        if payment == broken:
            raise RuntimeError("a bug")
        return await check(payment)

    monkeypatch.setattr(shop.yookassa, "check", checking)
    await shop.watching.run_once()
    assert (await shop.desk.view(good)).standing == "paid"
    assert alarms() == {"stuck": 1}


async def test_the_same_books_differ_in_nothing(shop, alarms):
    for package in ("credits-5", "credits-10"):
        await shop.paid(package=package)
    payment = await shop.paid()
    await shop.refunds.carry_out(
        await shop.refunds.plan(payment, 2), actor="login:neurocards_operator", reason="r"
    )
    await shop.pending()
    report = await shop.comparison.run(7)
    assert (report.payments, report.refunds, report.differences) == (3, 1, [])
    assert alarms() == {}


async def old(shop, payment: str) -> None:
    """Its news has had time to come."""
    shop.rewrite(await shop.provider_payment(payment), created_at="2020-01-01T00:00:00.000Z")


async def test_every_kind_of_difference_is_found_and_told(shop, alarms):
    late = await shop.pending()
    await shop.press(late)
    await shop.pool.execute("DELETE FROM payment_watch")
    wrong = await shop.pending()
    shop.rewrite(await shop.provider_payment(wrong), amount={"value": "1.00", "currency": "RUB"})
    await shop.press(wrong)
    vanished = await shop.paid()
    shop.sandbox.ctx.store.delete("yookassa_payment", await shop.provider_payment(vanished))
    changed = await shop.paid()
    shop.rewrite(await shop.provider_payment(changed), amount={"value": "390.01", "currency": "RUB"})
    foreign = await shop.paid()
    shop.rewrite(await shop.provider_payment(foreign), metadata={"order_id": "1024"})
    await old(shop, late)
    report = await shop.comparison.run(10_000)
    found = {(d.kind, d.payment, d.repaired) for d in report.differences}
    assert {("missing", late, True), ("flagged", wrong, False), ("extra", vanished, False)} <= found
    assert ("amount", changed, False) in found
    assert any(d.kind == "foreign" for d in report.differences)
    assert (await shop.desk.view(late)).standing == "paid"
    rows = await shop.pool.fetch(
        "SELECT kind FROM payment_differences WHERE comparison = $1", report.comparison
    )
    assert sorted(row["kind"] for row in rows) == sorted(d.kind for d in report.differences)
    told = alarms()
    assert {f"difference_{kind}" for kind in ("missing", "extra", "amount", "flagged")} <= set(told)
    await measure_payments(shop.pool)
    value = REGISTRY.get_sample_value
    assert value("neurocards_payments_differences", {"kind": "extra"}) == 1
    assert value("neurocards_payments_differences", {"kind": "missing"}) == 0
    assert (value("neurocards_payments_compared_timestamp_seconds") or 0) > 0


async def test_money_that_brought_no_credits_is_seen_for_a_day(shop, alarms):
    wrong = await shop.pending()
    shop.rewrite(await shop.provider_payment(wrong), amount={"value": "1.00", "currency": "RUB"})
    await shop.press(wrong)
    await shop.paid()
    await shop.watching.run_once()
    await Runner(shop.pool, PAYMENTS).apply(await shop.ledger.read.events_after(0))

    async def since() -> float | None:
        await measure_payments(shop.pool)
        labels = {"why": "flagged"}
        return REGISTRY.get_sample_value("neurocards_payments_oldest_uncredited_timestamp_seconds", labels)

    flagged_us = await shop.pool.fetchval("SELECT recorded_at_us FROM events WHERE type = 'PaymentFlagged'")
    assert await since() == pytest.approx(flagged_us / 1e6)
    await shop.pool.execute("UPDATE payments_v1 SET updated_at_us = updated_at_us - 86400 * 1000000::bigint")
    assert await since() == 0


async def test_a_refund_from_the_cabinet_and_one_that_is_none(shop, alarms):
    payment = await shop.paid()
    name = await shop.provider_payment(payment)
    await shop.shop.create_refund(
        {"payment_id": name, "amount": {"value": "78.00", "currency": "RUB"}}, "cabinet"
    )
    report = await shop.comparison.run(1)
    assert report.open_differences == []
    await shop.credits_are_money()
    account = (await shop.desk.view(payment)).ordered.account
    invented = p.RecordRefund(payment, account, "yookassa", name, "invented", 7_800)
    await shop.ledger.execute(invented, key=p.key_of(invented))
    report = await shop.comparison.run(1)
    kinds = {(d.kind, d.object) for d in report.open_differences}
    assert kinds == {("extra", "refund"), ("amount", "refund")}


async def test_daily_by_one_of_two_and_again_after_trouble(shop, sandbox, alarms):
    daily = partial(compare_books, shop.comparison, 7, 86_400)
    sandbox.fault("yookassa", "list", "html_502")
    assert await daily() == 0
    assert alarms() == {"not_compared": 1}
    assert await daily() == 0  # begun a moment ago, maybe still under way
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await shop.pool.execute(EARLIER)
    await shop.pool.execute(
        f"SET LOCAL ROLE postgres; SET LOCAL session_replication_role = replica; {EARLIER}"
    )
    assert sorted(await asyncio.gather(daily(), daily())) in ([0, 1], [1, 1])
    assert await daily() == 0
    ended = await shop.pool.fetchval("SELECT count(*) FROM payment_comparisons WHERE ended_at IS NOT NULL")
    assert ended >= 1


async def test_comparing_finds_again_what_nobody_looks_after(shop):
    payment = await shop.pending()
    await shop.pool.execute("DELETE FROM payment_watch")
    await shop.comparison.run(7)
    await shop.press(payment)
    await shop.watching.run_once()
    assert (await shop.desk.view(payment)).standing == "paid"


async def test_the_table_takes_every_kind(shop):
    begun = await shop.pool.fetchval(
        "INSERT INTO payment_comparisons (provider, since) VALUES ('x', now()) RETURNING 1"
    )
    assert begun == 1
    for kind in typing.get_args(Kind):
        await shop.pool.execute(
            "INSERT INTO payment_differences (comparison, kind, object) VALUES (1, $1, 'payment')", kind
        )


async def test_what_was_compared_and_found_stands(shop, postgres):
    await shop.comparison.run(7)
    await shop.pool.execute(
        "INSERT INTO payment_differences (comparison, kind, object) VALUES (1, 'extra', 'payment')"
    )
    superuser = await asyncpg.connect(
        postgres.url(await shop.pool.fetchval("SELECT current_database()"), "postgres")
    )
    try:
        for change in (
            "UPDATE payment_comparisons SET payments = 7",
            "UPDATE payment_comparisons SET provider = 'x'",
            "DELETE FROM payment_comparisons",
            "TRUNCATE payment_comparisons, payment_differences",
            "UPDATE payment_differences SET repaired = true",
            "DELETE FROM payment_differences",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await superuser.execute(change)
    finally:
        await superuser.close()
