"""Notifications: forged, doubled, reordered, early, about nothing; and with everybody away."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from ledger.log.ledger import Ledger
from services.accounts.personal_data import PersonalData
from services.maintenance.gauges import measure_payments
from services.platform.database import create_pool
from services.platform.settings import Settings
from services.web.yookassa_webhook import BODY_BYTES_MAX
from tests.support.each import each
from tests.support.notifying import GENUINE, Wire, notified
from tests.support.payment_fixture import PaymentFixture, till
from tests.support.waiting import eventually


@pytest.fixture
async def wire(shop):
    async with notified(shop) as wire:
        yield wire


async def standing(shop: PaymentFixture, payment: str) -> str:
    view = await shop.desk.view(payment)
    assert view is not None
    return view.standing


async def paid_at_the_provider(shop: PaymentFixture) -> tuple[str, str]:
    """A payment that is paid, though we do not know: ours, and the provider's id."""
    payment = await shop.pending()
    await shop.press(payment)
    return payment, await shop.provider_payment(payment)


async def test_the_sandboxs_own_notification_brings_the_credits(shop, wire, sandbox, alarms):
    sandbox.turn(yookassa_notification_url=wire.url)
    payment = await shop.pending()
    await shop.press(payment)
    await eventually(lambda: [n["answers"] for n in shop.book()["notifications"]] == [["200"]])
    assert await standing(shop, payment) == "paid"
    declined = await shop.pending()
    await shop.press(declined, "decline")
    await eventually(lambda: len([n for n in shop.book()["notifications"] if n["answers"] == ["200"]]) == 2)
    assert await standing(shop, declined) == "cancelled"
    assert len(await shop.credits_are_money()) == 1
    assert alarms() == {}


async def test_fifty_at_once_are_one(shop, wire, sandbox):
    payment, name = await paid_at_the_provider(shop)
    assert set(await asyncio.gather(*(wire.send(name) for _ in range(50)))) == {200}
    assert await wire.send(name) == 200
    assert await standing(shop, payment) == "paid"
    assert len(await shop.credits_are_money()) == 1


async def test_fifty_at_once_on_two_processes_and_twenty_taps_are_one(
    shop, wire, settings, ledger, pool, sandbox
):
    payment, name = await paid_at_the_provider(shop)
    async with till(settings, ledger, pool, sandbox) as other, notified(other) as second:
        await asyncio.gather(
            *(line.send(name) for line in (wire, second) for _ in range(25)),
            *(desk.yookassa.check(payment) for desk in (shop, other) for _ in range(10)),
        )
    assert len(await shop.credits_are_money()) == 1


async def test_a_notification_before_our_own_call_has_returned(shop, wire, sandbox):
    """The call that makes it hangs; meanwhile the payment is made, paid and told of."""
    payment = await shop.order()
    sandbox.fault("yookassa", "create", "hang", args={"after": True, "seconds": 3})
    making = asyncio.create_task(shop.yookassa.make(payment))
    shown = await eventually(lambda: shop.book()["payments"])
    async with sandbox.http.post(
        shown[0]["confirmation"]["confirmation_url"], data={"action": "pay"}, allow_redirects=False
    ):
        pass
    assert await wire.send(shown[0]["id"]) == 200
    assert await standing(shop, payment) == "paid"
    await asyncio.gather(making, return_exceptions=True)
    await shop.watching.run_once()
    assert await standing(shop, payment) == "paid"
    assert len(await shop.credits_are_money()) == len(shop.book()["payments"]) == 1


async def test_out_of_order_and_stale_ones_change_nothing(shop, wire):
    payment, name = await paid_at_the_provider(shop)
    for event in ("payment.canceled", "payment.waiting_for_capture", "payment.succeeded", "payment.canceled"):
        assert await wire.send(name, event, status="canceled") == 200
    assert await standing(shop, payment) == "paid"
    assert len(await shop.credits_are_money()) == 1


async def test_forged_bodies_only_say_where_to_look(shop, wire, alarms):
    payment = await shop.pending()
    name = await shop.provider_payment(payment)
    lie = {"status": "succeeded", "paid": True, "amount": {"value": "99999.00", "currency": "RUB"}}
    assert await wire.send(name, **lie) == 200
    assert await wire.send(name, **lie, metadata={"order_id": "other"}) == 200
    assert await standing(shop, payment) == "pending"
    assert await wire.send("2d7e5f1a-000f-5000-8000-100000000000", **lie) == 404
    assert alarms() == {"unknown_object": 1}
    assert await shop.credits_are_money() == {}


@each("source", ["203.0.113.7", f"{GENUINE}, 203.0.113.7", "", "localhost", "185.71.76.32", "2a02:5181::1"])
async def test_foreign_addresses_are_turned_away(shop, wire, source):
    payment, name = await paid_at_the_provider(shop)
    assert await wire.send(name, source=source) == 403
    assert await standing(shop, payment) == "pending"


async def test_without_a_proxy_the_header_is_nothing(shop, settings: Settings, ledger, pool, sandbox):
    direct = settings.replace(web_proxies=0)
    async with till(direct, ledger, pool, sandbox) as other, notified(other) as wire:
        _, name = await paid_at_the_provider(other)
        assert await wire.send(name) == 403  # it came from 127.0.0.1, whatever it says
    trusting = settings.replace(web_proxies=0, yookassa_sources=("127.0.0.0/8",))
    async with till(trusting, ledger, pool, sandbox) as other, notified(other) as wire:
        assert await wire.send(name, source="203.0.113.7") == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b"x" * (BODY_BYTES_MAX + 1), 413),
        (b'{"event": "payout.succeeded", "object": {"id": "po-1"}}', 200),
    ],
)
async def test_what_is_no_notification_of_a_payment(shop, wire: Wire, body, status):
    assert await wire.post(body) == status


async def test_a_body_without_end_is_cut_off(shop, wire: Wire):
    async def endless():
        for _ in range(BODY_BYTES_MAX // 1024 + 2):
            yield b"x" * 1024

    assert await wire.post(endless()) == 413


async def test_payments_that_are_not_ours_are_told_and_not_asked_for_again(shop, wire, alarms):
    record = await shop.shop.create_payment(
        {
            "amount": {"value": "390.00", "currency": "RUB"},
            "confirmation": {"type": "redirect", "return_url": "https://example.com"},
            "capture": True,
            "metadata": {"order_id": "1024"},
        },
        "somebody-elses",
    )
    async with shop.sandbox.http.post(record.confirmation_url, data={"action": "pay"}, allow_redirects=False):
        pass
    assert await wire.send(record.id) == 200
    assert alarms() == {"foreign": 1}
    assert await shop.pool.fetchval("SELECT count(*) FROM events") == 0


@pytest.mark.parametrize("fault", ["500_before", "429", "hang", "html_502"])
async def test_with_the_provider_away_it_is_to_come_again(shop, wire, sandbox, fault):
    payment, name = await paid_at_the_provider(shop)
    sandbox.fault("yookassa", "get", fault)
    assert await wire.send(name) == 503
    assert await standing(shop, payment) == "pending"
    assert await wire.send(name) == 200
    assert len(await shop.credits_are_money()) == 1


@pytest.fixture
def emptied(postgres):
    """A database that went back to before everything."""
    with postgres.database() as url:
        yield url


async def test_an_order_that_was_lost_is_restored_and_credited(shop, settings, sandbox, emptied, alarms):
    """Postgres went back to before the order: the payment's metadata know it."""
    payment, name = await paid_at_the_provider(shop)
    earlier = settings.replace(database_url=emptied)
    async with (
        await create_pool(earlier, "test") as pool,
        Ledger(emptied, pool) as ledger,
        till(earlier, ledger, pool, sandbox) as restored,
        notified(restored) as line,
    ):
        assert set(await asyncio.gather(*(line.send(name) for _ in range(10)))) == {200}
        state = await ledger.read.payment(payment)
        assert state.ordered is not None and state.ordered.restored and state.ordered.credits == 5
        assert (await ledger.read.account(state.ordered.account)).balance == 5
        assert len(await restored.credits_are_money()) == 1
        row = "INSERT INTO accounts (account, telegram_id) VALUES ($1, 1)"
        await pool.execute(row, state.ordered.account)
        assert await PersonalData(pool).amiss() == [], "who brings the money knows no person"
    assert alarms() == {"restored": 1}


async def test_refunds_told_twice_and_from_the_cabinet(shop, wire, alarms):
    payment = await shop.paid()
    name = await shop.provider_payment(payment)
    refund = await shop.shop.create_refund(
        {"payment_id": name, "amount": {"value": "100.00", "currency": "RUB"}}, "cabinet-1"
    )
    assert set(await asyncio.gather(*(wire.send(refund.id, "refund.succeeded") for _ in range(10)))) == {200}
    assert await wire.send(refund.id, "refund.succeeded") == 200
    (money,) = (await shop.credits_are_money()).values()
    assert (money.refunded_minor, money.revoked) == (10_000, 1)
    assert alarms() == {"refunded_elsewhere": 1}


async def test_a_refund_of_a_payment_we_did_not_know_to_be_paid(shop, wire):
    payment, name = await paid_at_the_provider(shop)
    refund = await shop.shop.create_refund(
        {"payment_id": name, "amount": {"value": "390.00", "currency": "RUB"}}, "cabinet-1"
    )
    assert await wire.send(refund.id, "refund.succeeded") == 200
    (money,) = (await shop.credits_are_money()).values()
    assert (money.credits, money.revoked) == (5, 5)
    assert await standing(shop, payment) == "paid"


def uncredited_since(why: str) -> float | None:
    return REGISTRY.get_sample_value("neurocards_payments_oldest_uncredited_timestamp_seconds", {"why": why})


async def test_money_that_is_told_of_and_cannot_be_read_is_seen_and_looked_at_next(shop, wire, sandbox):
    payment, name = await paid_at_the_provider(shop)
    lie = await shop.provider_payment(await shop.pending())
    await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp() + interval '6 hours'")
    sandbox.fault("yookassa", "get", "500_before", times=5)
    assert {await wire.send(name), await wire.send(lie), await wire.send(name)} == {503}

    await measure_payments(shop.pool)
    since = uncredited_since("unread")
    told_at = await shop.pool.fetchval("SELECT extract(epoch FROM min(told_at))::float8 FROM payment_watch")
    assert since == told_at is not None
    await shop.watching.run_once()  # the provider is still away
    await measure_payments(shop.pool)
    assert uncredited_since("unread") == since

    assert await wire.send(name, "payment.canceled") == 200  # whatever it says, it has been read now
    await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    await shop.watching.run_once()
    await measure_payments(shop.pool)
    assert await standing(shop, payment) == "paid"
    assert uncredited_since("unread") == 0
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 1  # nobody has paid the other
