"""Notifications: redelivered, doubled, late, forged, lost; and the faults of the calls themselves."""

from pathlib import Path

import aiohttp
import pytest

from services.sandbox.faults import FAULT_NAMES
from tests.support.outside import ManualClock, listening, outside
from tests.support.waiting import eventually
from tests.unit.services.sandbox.yookassa.conftest import MODULES, made, order, press, request, seen


@pytest.fixture
async def shop(sandbox, listener):
    sandbox.turn(yookassa_notification_url=listener.url)
    return sandbox


def events(listener) -> list[str]:
    return [body["event"] for body in listener.bodies]


async def tried(sandbox, times: int) -> None:
    """Wait until the one notification was sent so often."""

    async def is_so() -> bool:
        sent = (await sandbox.get("/__sandbox/book"))["yookassa"]["notifications"]
        return [n["tries"] for n in sent] == [times]

    await eventually(is_so)


async def test_it_is_redelivered_until_200(shop, listener):
    shop.turn(yookassa_redelivery_seconds=[10, 60])
    listener.statuses = [500, 404, 503]
    payment = await made(shop)
    await press(shop, payment, "pay")
    for number, pause_s in enumerate((0, 10, 60, 60), start=1):
        shop.clock.advance(pause_s)
        await tried(shop, number)
    shop.clock.advance(100_000)
    assert len(listener.received) == 4
    assert {body["object"]["status"] for body in listener.bodies} == {"succeeded"}


async def test_after_24_hours_it_is_given_up(shop, listener):
    shop.turn(yookassa_redelivery_seconds=[40_000])
    listener.statuses = [500] * 10
    payment = await made(shop)
    await press(shop, payment, "pay")
    for number in (1, 2, 3):
        await tried(shop, number)
        shop.clock.advance(40_000)
    book = (await shop.get("/__sandbox/book"))["yookassa"]["notifications"]
    assert [(n["state"], n["tries"]) for n in book] == [("given_up", 3)]


async def test_what_is_owed_survives_a_restart(tmp_path: Path):
    clock = ManualClock()
    async with listening() as hook:
        hook.statuses = [500]
        async with outside(MODULES, tmp_path, clock) as shop:
            shop.turn(yookassa_notification_url=hook.url)
            payment = await made(shop)
            await press(shop, payment, "pay")
            await tried(shop, 1)
        clock.advance(10)
        async with outside(MODULES, tmp_path, clock) as shop:
            await eventually(lambda: len(hook.received) == 2)
            assert [body["object"]["id"] for body in hook.bodies] == [payment["id"]] * 2


async def test_twice_and_never(shop, listener):
    shop.fault("yookassa", "notify", "notify_twice")
    shop.fault("yookassa", "notify", "notify_never")
    first, second, third = [await made(shop, f"k{n}") for n in range(3)]
    for payment in (first, second, third):
        await press(shop, payment, "pay")
    await eventually(lambda: len(listener.received) == 3)
    told = [body["object"]["id"] for body in listener.bodies]
    assert sorted(told) == sorted([first["id"], first["id"], third["id"]])


async def test_out_of_order(shop, listener):
    shop.fault("yookassa", "notify", "notify_reordered", match={"event": "payment.succeeded"})
    payment = await made(shop)
    await press(shop, payment, "pay")
    back = {"payment_id": payment["id"], "amount": {"value": "390.00", "currency": "RUB"}}
    assert (await request(shop, "POST", "/refunds", back, "r"))[0] == 200
    await eventually(lambda: listener.received)
    shop.clock.advance(5)
    await eventually(lambda: len(listener.received) == 2)
    assert events(listener) == ["refund.succeeded", "payment.succeeded"]
    assert listener.bodies[1]["object"]["refunded_amount"]["value"] == "0.00", "as it was at the event"


async def test_forged_for_a_payment_nobody_paid(shop, listener):
    shop.fault("yookassa", "create", "notify_forged")
    payment = await made(shop)
    await eventually(lambda: listener.received)
    body, headers = listener.received[0]
    assert (body["event"], body["object"]["id"]) == ("payment.succeeded", payment["id"])
    assert body["object"]["status"] == "succeeded"
    assert headers["X-Forwarded-For"] == "203.0.113.7", "and not from one of their addresses"
    assert (await seen(shop, payment["id"]))["status"] == "pending"


async def test_forged_beside_a_true_one(shop, listener):
    shop.fault("yookassa", "notify", "notify_forged", args={"object": {"metadata": {"order_id": "1"}}})
    payment = await made(shop)
    await press(shop, payment, "pay")
    await eventually(lambda: len(listener.received) == 2)
    values = {
        headers["X-Forwarded-For"]: body["object"]["amount"]["value"] for body, headers in listener.received
    }
    assert values == {"203.0.113.7": "99999.00", "185.71.76.5": "390.00"}


async def test_only_chosen_events_are_told(shop, listener):
    shop.turn(yookassa_events=["payment.canceled"])
    paid, declined = await made(shop, "k1"), await made(shop, "k2")
    await press(shop, paid, "pay")
    await press(shop, declined, "decline")
    await eventually(lambda: listener.received)
    assert events(listener) == ["payment.canceled"]


@pytest.mark.parametrize("name", sorted(set(FAULT_NAMES["yookassa"]["create"]) - {"notify_forged"}))
async def test_faults_of_creating(sandbox, name):
    sandbox.fault("yookassa", "create", name, args={"seconds": 0.05})
    try:
        status, body = await request(sandbox, "POST", "/payments", order())
    except (aiohttp.ClientError, ValueError) as error:
        kinds = {
            "html_502": ValueError,
            "hang": aiohttp.ServerDisconnectedError,
            "reset": aiohttp.ClientError,
        }
        assert isinstance(error, kinds[name])
    else:
        assert status == {"429": 429}.get(name, 500)
        assert body["type"] == "error"
    count = len((await sandbox.get("/__sandbox/book"))["yookassa"]["payments"])
    assert count == (1 if name == "500_after" else 0)


async def test_any_fault_can_come_after_the_deed(sandbox):
    sandbox.fault("yookassa", "create", "reset", args={"after": True})
    with pytest.raises(aiohttp.ClientError):
        await request(sandbox, "POST", "/payments", order())
    payment = await made(sandbox)
    assert len((await sandbox.get("/__sandbox/book"))["yookassa"]["payments"]) == 1
    sandbox.fault("yookassa", "get", "500_before")
    assert (await request(sandbox, "GET", f"/payments/{payment['id']}"))[0] == 500
    assert (await request(sandbox, "GET", f"/payments/{payment['id']}"))[0] == 200
