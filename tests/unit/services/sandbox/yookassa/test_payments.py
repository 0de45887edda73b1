"""Payments over plain HTTP: validation, keys, the page, expiry, restart."""

import asyncio
from pathlib import Path

import pytest

from tests.support.each import each
from tests.support.outside import ManualClock, outside
from tests.support.waiting import eventually
from tests.unit.services.sandbox.yookassa.conftest import MODULES, basic, made, order, press, request, seen


async def test_a_new_payment_has_exactly_the_documented_shape(sandbox):
    payment = await made(sandbox)
    page = f"{sandbox.url}/yookassa/checkout/payments/v2/contract?orderId={payment['id']}"
    assert payment == {
        "id": payment["id"],
        "status": "pending",
        "paid": False,
        "amount": {"value": "390.00", "currency": "RUB"},
        "confirmation": {
            "type": "redirect",
            "return_url": "https://t.me/neurocards_bot",
            "confirmation_url": page,
        },
        "created_at": "2027-01-15T08:00:00.000Z",
        "description": "Пакет 5 видео, заказ 1024",
        "metadata": {"order_id": "1024"},
        "recipient": {"account_id": "100500", "gateway_id": "100700"},
        "refundable": False,
        "test": True,
    }
    assert payment["id"][8:24] == "-000f-5000-8000-"


BAD = {
    "no amount": ({"amount": None}, "amount"),
    "a number": ({"amount": {"value": 390, "currency": "RUB"}}, "amount.value"),
    "no kopecks": ({"amount": {"value": "390", "currency": "RUB"}}, "amount.value"),
    "three decimals": ({"amount": {"value": "390.000", "currency": "RUB"}}, "amount.value"),
    "zero": ({"amount": {"value": "0.00", "currency": "RUB"}}, "amount.value"),
    "negative": ({"amount": {"value": "-1.00", "currency": "RUB"}}, "amount.value"),
    "dollars": ({"amount": {"value": "390.00", "currency": "USD"}}, "amount.currency"),
    "no confirmation": ({"confirmation": None}, "confirmation"),
    "odd confirmation": ({"confirmation": {"type": "pigeon"}}, "confirmation.type"),
    "no way back": ({"confirmation": {"type": "redirect"}}, "confirmation.return_url"),
    "long description": ({"description": "x" * 129}, "description"),
    "17 metadata keys": ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
    "long metadata key": ({"metadata": {"k" * 33: "x"}}, "metadata"),
    "long metadata value": ({"metadata": {"k": "x" * 513}}, "metadata.k"),
    "metadata number": ({"metadata": {"k": 5}}, "metadata.k"),
    "capture as text": ({"capture": "true"}, "capture"),
    "two stages": ({"capture": False}, "capture"),
    "receipt without customer": ({"receipt": {"items": [{}]}}, "receipt.customer"),
    "receipt without items": ({"receipt": {"customer": {"email": "a@b.c"}}}, "receipt.items"),
}


@pytest.mark.parametrize(("change", "parameter"), BAD.values(), ids=BAD)
async def test_bad_requests_name_the_parameter(sandbox, change, parameter):
    status, error = await request(sandbox, "POST", "/payments", order(**change))
    assert (status, error["type"], error["code"]) == (400, "error", "invalid_request")
    assert error["parameter"] == parameter
    await made(sandbox)  # a refused request uses no key up


async def test_a_receipts_sum_must_be_the_payments(sandbox):
    item = {"description": "Видео", "quantity": "2", "amount": {"value": "195.00", "currency": "RUB"}}
    receipt = {"customer": {"phone": "79000000000"}, "items": [item | {"vat_code": 1}]}
    await made(sandbox, receipt=receipt)
    for change, parameter in (
        ({"quantity": "1"}, "receipt.items"),
        ({"vat_code": 13}, "receipt.items[0].vat_code"),
        ({"quantity": "x"}, "receipt.items[0].quantity"),
        ({"description": "x" * 129}, "receipt.items[0].description"),
    ):
        wrong = receipt | {"items": [item | {"vat_code": 1} | change]}
        status, error = await request(sandbox, "POST", "/payments", order(receipt=wrong), "other")
        assert (status, error["parameter"]) == (400, parameter)


async def test_keys_answer_for_24_hours_with_the_object_as_it_is_now(sandbox):
    first = await made(sandbox, "same")
    assert (await made(sandbox, "same"))["id"] == first["id"]
    await press(sandbox, first, "pay")
    assert (await made(sandbox, "same"))["status"] == "succeeded"
    status, error = await request(sandbox, "POST", "/payments", order("400.00"), "same")
    assert (status, error["description"]) == (400, "Idempotence key duplicated")
    assert (await made(sandbox, "different"))["id"] != first["id"]
    sandbox.clock.advance(86_401)
    assert (await made(sandbox, "same"))["id"] != first["id"]


async def test_the_same_key_at_the_same_moment_makes_one_payment(sandbox):
    payments = await asyncio.gather(*(made(sandbox, "same") for _ in range(20)))
    assert len({payment["id"] for payment in payments}) == 1


async def test_keys_are_required_and_at_most_64_long(sandbox):
    for key in (None, "x" * 65):
        status, error = await request(sandbox, "POST", "/payments", order(), key)
        assert (status, error["parameter"]) == (400, "Idempotence-Key")
    await made(sandbox, "x" * 64)


async def test_wrong_credentials(sandbox):
    for headers in ({}, basic("100500", "wrong"), basic("1"), {"Authorization": "Basic ?"}):
        url = f"{sandbox.url}/yookassa/v3/payments"
        async with sandbox.http.post(url, json=order(), headers=headers) as reply:
            assert reply.status == 401
            assert reply.headers["WWW-Authenticate"] == "Basic"
            assert (await reply.json())["code"] == "invalid_credentials"


async def test_what_there_is_not(sandbox):
    assert (await request(sandbox, "GET", "/nothing"))[0] == 404


@each("body", [b"{", b"[]", b'{"a": "\\ud800"}'])
async def test_bodies_that_are_no_json_object(sandbox, body):
    headers = basic() | {"Content-Type": "application/json", "Idempotence-Key": "k"}
    url = f"{sandbox.url}/yookassa/v3/payments"
    async with sandbox.http.post(url, data=body, headers=headers) as reply:
        assert reply.status == 400


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("decline", "general_decline"),
        ("insufficient_funds", "insufficient_funds"),
        ("3d_secure_failed", "3d_secure_failed"),
    ],
)
async def test_ways_to_fail_on_the_page(sandbox, action, reason):
    payment = await made(sandbox)
    assert await press(sandbox, payment, action) == "https://t.me/neurocards_bot", "failure comes back too"
    after = await seen(sandbox, payment["id"])
    assert (after["status"], after["paid"], after["refundable"]) == ("canceled", False, False)
    assert after["cancellation_details"]["reason"] == reason
    assert "confirmation" not in after


async def test_the_page_itself(sandbox):
    payment = await made(sandbox, description="<b>Кружка</b> & co")
    url = payment["confirmation"]["confirmation_url"]
    async with sandbox.http.get(url) as reply:
        page = await reply.text()
    assert "390,00\u00a0₽" in page
    assert "&lt;b&gt;Кружка&lt;/b&gt; &amp; co" in page
    assert 'value="pay"' in page
    await press(sandbox, payment, "pay")
    async with sandbox.http.post(url, data={"action": "decline"}) as reply:
        assert "Оплачено" in await reply.text(), "what has ended stays as it is"
    assert (await seen(sandbox, payment["id"]))["status"] == "succeeded"
    async with sandbox.http.get(url + "x") as reply:
        assert reply.status == 404
    async with sandbox.http.post((await made(sandbox, "k2"))["confirmation"]["confirmation_url"]) as reply:
        assert reply.status == 400


async def test_unpaid_payments_expire(sandbox, listener):
    sandbox.turn(yookassa_notification_url=listener.url)
    unpaid = await made(sandbox)
    sandbox.clock.advance(3601)
    await eventually(lambda: any(body["event"] == "payment.canceled" for body in listener.bodies))
    gone = await seen(sandbox, unpaid["id"])
    assert gone["cancellation_details"] == {"party": "yoo_money", "reason": "expired_on_confirmation"}


async def test_lists_are_filtered(sandbox):
    old = await made(sandbox, "k1")
    sandbox.clock.advance(60)
    new = await made(sandbox, "k2")

    async def listed(query: str) -> list[str]:
        status, page = await request(sandbox, "GET", f"/payments?{query}")
        assert (status, page["type"]) == (200, "list")
        return [payment["id"] for payment in page["items"]]

    assert await listed("") == [new["id"], old["id"]]
    assert await listed("created_at.gte=2027-01-15T08:01:00.000Z") == [new["id"]]
    bad_ones = ("limit=0", "limit=101", "limit=x", "cursor=x", "cursor=%20", "created_at.gte=yesterday")
    for bad in (*bad_ones, "status=pending"):
        status, error = await request(sandbox, "GET", f"/payments?{bad}")
        assert (status, error["code"]) == (400, "invalid_request"), bad


async def test_a_restart_loses_nothing(tmp_path: Path):
    clock = ManualClock()
    async with outside(MODULES, tmp_path, clock) as sandbox:
        paid, open_still = await made(sandbox, "k1"), await made(sandbox, "k2")
        await press(sandbox, paid, "pay")
        before = await seen(sandbox, paid["id"])
    async with outside(MODULES, tmp_path, clock) as sandbox:
        assert await seen(sandbox, paid["id"]) == before
        assert (await made(sandbox, "k1"))["id"] == paid["id"]
        clock.advance(3601)
        assert (await seen(sandbox, open_still["id"]))["status"] == "canceled"
