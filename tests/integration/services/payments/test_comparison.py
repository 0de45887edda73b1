"""The comparison goes on past what it cannot judge, and reaches further back than anybody else looks."""

import datetime

import pytest

from services.maintenance.gauges import measure_payments
from services.maintenance.main import compare_books
from services.platform.errors import SettingsError
from services.platform.settings import load_settings
from tests.support.payment_fixture import PaymentFixture

DAY_S = 86_400


async def flagged_and_changed(shop: PaymentFixture) -> str:
    """Money that the ledger has flagged with one sum, and of which the provider now names another."""
    payment = await shop.pending()
    name = await shop.provider_payment(payment)
    shop.rewrite(name, amount={"value": "1.00", "currency": "RUB"})
    await shop.press(payment)
    await shop.yookassa.check(payment)
    shop.rewrite(name, amount={"value": "2.00", "currency": "RUB"})
    return payment


async def lost(shop: PaymentFixture) -> str:
    """Paid, and nobody told us, nor looks."""
    payment = await shop.pending()
    await shop.press(payment)
    await shop.pool.execute("DELETE FROM payment_watch")
    return payment


@pytest.mark.parametrize(
    "change",
    [
        {"status": "half_paid"},
        {"amount": {"value": "a lot", "currency": "RUB"}},
        {"metadata": ["not", "ours"]},
    ],
)
async def test_an_unreadable_record_is_its_own_note_and_the_walk_goes_on(shop, alarms, change):
    before = await lost(shop)
    broken = await shop.paid()
    name = await shop.provider_payment(broken)
    after = await lost(shop)
    shop.rewrite(name, **change)
    report = await shop.comparison.run(14)
    assert [(d.kind, d.provider_payment) for d in report.differences] == [("unjudged", name)]
    assert report.differences[0].note and report.unjudged == 1 and report.open_differences == []
    standings = [(await shop.desk.view(payment)).standing for payment in (before, after)]
    assert standings == ["paid", "paid"]
    assert alarms() == {"difference_unjudged": 1}
    await measure_payments(shop.pool)
    assert await shop.pool.fetchval("SELECT ended_at FROM payment_comparisons") is not None


async def test_a_stranger_with_odd_metadata_is_a_stranger(shop):
    foreign, ours = await shop.paid(), await lost(shop)
    shop.rewrite(await shop.provider_payment(foreign), metadata={"order": 5, "system": None})
    report = await shop.comparison.run(14)
    assert "foreign" in {d.kind for d in report.differences} and report.unjudged == 0
    assert (await shop.desk.view(ours)).standing == "paid"


async def test_what_the_ledger_knows_under_another_name_ends_nothing(shop, alarms):
    before = await lost(shop)
    broken = await flagged_and_changed(shop)
    after = await lost(shop)
    report = await shop.comparison.run(14)
    (found,) = report.differences
    assert (found.kind, found.payment) == ("unjudged", broken) and "KeyReusedError" in found.note
    assert [(await shop.desk.view(payment)).standing for payment in (before, after)] == ["paid", "paid"]


async def test_an_unreadable_refund_ends_nothing(shop):
    first, second = await shop.paid(), await shop.paid()
    names = []
    for payment in (first, second):
        name = await shop.provider_payment(payment)
        body = {"payment_id": name, "amount": {"value": "78.00", "currency": "RUB"}}
        names.append((await shop.shop.create_refund(body, f"cabinet-{payment}")).id)
    doc = shop.sandbox.ctx.store.get("yookassa_refund", names[0])
    doc["shown"]["status"] = "half_refunded"
    shop.sandbox.ctx.store.put("yookassa_refund", names[0], doc)
    report = await shop.comparison.run(14)
    assert names[0] in {d.provider_refund for d in report.differences if d.kind == "unjudged"}
    assert await shop.links.refund_known(names[1])
    assert not await shop.links.refund_known(names[0])


async def test_a_provider_that_is_away_still_ends_it(shop, sandbox, alarms):
    await lost(shop)
    sandbox.fault("yookassa", "list", "429", times=None)
    assert await compare_books(shop.comparison, 14, 0) == 0
    assert alarms() == {"not_compared": 1}


async def test_a_payment_is_not_given_up_while_a_list_may_hide_it(shop, sandbox):
    """Whether it was made cannot be told from a list with something in it that nobody can read."""
    payment, stranger = await shop.order(), await shop.pending()
    sandbox.fault("yookassa", "create", "500_before")
    await shop.watching.run_once()
    shop.rewrite(await shop.provider_payment(stranger), status="odd")
    await shop.pool.execute("UPDATE payment_watch SET opened_at = opened_at - interval '30 hours'")
    await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    await shop.watching.run_once()
    assert (await shop.desk.view(payment)).standing == "ordered"


async def test_money_at_the_very_end_of_a_payments_life_is_found(shop):
    """Made, given up after a week, paid a moment later, and told to nobody; compared a day after that."""
    days = load_settings().payments_compare_days
    payment = await shop.pending()
    made = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=8, minutes=1)
    await shop.pool.execute("UPDATE payment_watch SET opened_at = opened_at - interval '8 days 1 minute'")
    await shop.watching.run_once()
    assert (await shop.desk.view(payment)).standing == "expired"
    await shop.press(payment)
    shop.rewrite(await shop.provider_payment(payment), created_at=f"{made:%Y-%m-%dT%H:%M:%S}.000Z")
    assert await compare_books(shop.comparison, days, DAY_S) == 1
    assert (await shop.desk.view(payment)).standing == "paid"


@pytest.mark.parametrize(("days", "every_s"), [(7, 0), (8, DAY_S), (13, 6 * DAY_S)])
def test_the_comparison_reaches_further_back_than_the_give_up(days, every_s):
    with pytest.raises(SettingsError, match="PAYMENTS_COMPARE_DAYS"):
        load_settings(payments_compare_days=days, payments_compare_seconds=every_s)
    load_settings(payments_compare_days=days + 1, payments_compare_seconds=every_s)
