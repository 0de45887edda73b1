"""The adapter against the sandbox: what it returns, what it raises, and what it leaves alone."""

import asyncio
import socket

import pytest
import yookassa
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from services.adapters.yookassa.errors import (
    BadCredentialsError,
    KeyTakenError,
    NotFoundError,
    UnavailableError,
    UnknownError,
    YooKassaNoAnswerError,
    YooKassaRefusedError,
)
from services.adapters.yookassa.gateway import YooKassa
from services.adapters.yookassa.records import Amount
from tests.support.each import each
from tests.support.waiting import eventually
from tests.unit.services.adapters.yookassa.conftest import body, shop_settings

SINCE = "2020-01-01T00:00:00.000Z"


async def pay(sandbox, record) -> None:
    async with sandbox.http.post(
        record.confirmation_url, data={"action": "pay"}, allow_redirects=False
    ) as reply:
        assert reply.status == 303


async def book(sandbox):
    return (await sandbox.get("/__sandbox/book"))["yookassa"]


async def test_a_payment_from_order_to_refund(sandbox, shop):
    made = await shop.create_payment(body(), "k1")
    assert (made.status, made.paid, made.amount) == ("pending", False, Amount("390.00", "RUB"))
    assert (made.recipient.account_id, made.test, made.texts["order_id"]) == (shop.shop, True, "p1")
    await pay(sandbox, made)
    paid = await shop.payment(made.id)
    assert (paid.status, paid.paid, paid.refunded_minor) == ("succeeded", True, 0)
    refund_body = {"payment_id": made.id, "amount": {"value": "0.01", "currency": "RUB"}}
    refund = await shop.create_refund(refund_body | {"metadata": {"refund": "r1"}}, "k2")
    assert (refund.status, refund.amount.minor, refund.payment_id) == ("succeeded", 1, made.id)
    assert (await shop.refund(refund.id)).texts == {"refund": "r1"}
    assert (await shop.payment(made.id)).refunded_minor == 1
    assert [r.id for r in (await shop.refunds(payment_id=made.id)).items] == [refund.id]


async def test_lists_go_on_where_a_page_ended(sandbox, shop, monkeypatch):
    monkeypatch.setattr("services.adapters.yookassa.gateway.PAGE_ITEMS", 2)
    ids = []
    for number in range(3):
        ids.append((await shop.create_payment(body(), f"k{number}")).id)
        sandbox.clock.advance(1)
    first = await shop.payments("2000-01-01T00:00:00Z")
    assert [payment.id for payment in first.items] == ids[:0:-1]
    last = await shop.payments("2000-01-01T00:00:00Z", first.cursor)
    assert ([payment.id for payment in last.items], last.cursor) == (ids[:1], None)
    assert (await shop.payments("2999-01-01T00:00:00Z")).items == ()


@pytest.mark.parametrize(
    ("fault", "raised", "made"),
    [
        ("500_before", UnknownError, 0),
        ("500_after", UnknownError, 1),
        ("429", UnavailableError, 0),
        ("html_502", UnknownError, 0),
        ("reset", UnknownError, 0),
        ("hang", UnknownError, 0),
    ],
)
async def test_every_fault_has_a_name_and_asking_again_makes_one_payment(sandbox, shop, fault, raised, made):
    sandbox.fault("yookassa", "create", fault)
    with pytest.raises(raised):
        await shop.create_payment(body(), "k1")
    assert len((await book(sandbox))["payments"]) == made
    again = await shop.create_payment(body(), "k1")
    assert [payment["id"] for payment in (await book(sandbox))["payments"]] == [again.id]


@pytest.mark.parametrize("fault", ["500_before", "429", "html_502", "hang"])
async def test_a_read_that_fails_is_no_answer(sandbox, shop, fault):
    made = await shop.create_payment(body(), "k1")
    sandbox.fault("yookassa", "get", fault, times=2)
    with pytest.raises(YooKassaNoAnswerError):
        await shop.payment(made.id)


async def test_a_kept_connection_that_was_cut_is_no_error(sandbox, shop):
    made = await shop.create_payment(body(), "k1")
    sandbox.fault("yookassa", "get", "reset")
    assert (await shop.payment(made.id)).id == made.id


async def test_refusals_say_why(sandbox, shop):
    with pytest.raises(NotFoundError) as missing:
        await shop.payment("23d93cac-000f-5000-8000-126628f15141")
    assert (missing.value.code, missing.value.parameter) == ("not_found", "payment_id")
    with pytest.raises(YooKassaRefusedError, match="Idempotence key is too long") as long:
        await shop.create_payment(body(), "k" * 65)
    assert not isinstance(long.value, KeyTakenError)
    await shop.create_payment(body(), "k1")
    with pytest.raises(KeyTakenError):
        await shop.create_payment(body("391.00"), "k1")
    with pytest.raises(YooKassaRefusedError) as unsent:
        await shop.create_refund({"payment_id": "short", "amount": body()["amount"]}, "k2")
    assert unsent.value.code == "not_sent"


async def test_wrong_credentials(sandbox):
    settings = shop_settings(f"{sandbox.url}/yookassa/v3", yookassa_secret_key="test_other")
    async with YooKassa(settings) as other:
        with pytest.raises(BadCredentialsError):
            await other.payments(SINCE)


async def test_a_refused_connection_and_a_name_that_is_none_were_never_sent():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        port = taken.getsockname()[1]
        for host in (f"127.0.0.1:{port}", "no-such-host.invalid"):
            async with YooKassa(shop_settings(f"http://{host}/v3")) as away:
                with pytest.raises(UnavailableError, match="no_connection"):
                    await away.create_payment(body(), "k1")
                with pytest.raises(UnavailableError):
                    await away.payment("p")


async def test_two_shops_in_one_process_do_not_mix_and_the_shared_configuration_stays(sandbox):
    before = dict(vars(yookassa.Configuration))
    base = f"{sandbox.url}/yookassa/v3"
    async with (
        YooKassa(shop_settings(base)) as right,
        YooKassa(shop_settings(base, yookassa_secret_key="test_wrong")) as wrong,
    ):
        answers = await asyncio.gather(
            *(shop.payments(SINCE) for _ in range(5) for shop in (right, wrong)), return_exceptions=True
        )
    assert [isinstance(answer, BadCredentialsError) for answer in answers] == [False, True] * 5
    assert dict(vars(yookassa.Configuration)) == before


async def test_hung_calls_leave_threads_for_reads_and_are_told_when_there_is_none(sandbox):
    settings = shop_settings(f"{sandbox.url}/yookassa/v3", yookassa_threads=2, yookassa_read_seconds=20)
    sandbox.fault("yookassa", "create", "hang", times=None, args={"seconds": 10})
    async with YooKassa(settings, free_thread_s=0.2) as shop:
        hung = asyncio.create_task(shop.create_payment(body(), "k1"))
        await eventually(lambda: sandbox.ctx.faults.describe()["taken"])
        with pytest.raises(UnavailableError, match="no_free_thread"):
            await shop.create_payment(body(), "k2")
        assert (await shop.payments(SINCE)).items == ()
        hung.cancel()  # the caller is gone, the thread still waits
        with pytest.raises(asyncio.CancelledError):
            await hung
        with pytest.raises(UnavailableError, match="no_free_thread"):
            await shop.create_payment(body(), "k2")
        sandbox.ctx.faults.remove()

        async def given_back() -> bool:
            try:
                return bool(await shop.create_payment(body(), "k2"))
            except UnavailableError:
                return False

        await eventually(given_back)


REPLIES = {
    "no json": (200, "<html>ok</html>", UnknownError),
    "a list": (200, "[]", UnknownError),
    "half a payment": (200, '{"id": "x", "status": "succeeded"}', UnknownError),
    "processing": (202, '{"type": "processing", "retry_after": 1800}', UnknownError),
    "a redirect": (302, "", UnknownError),
    "forbidden by a proxy": (403, "<html>no</html>", UnavailableError),
    "not found by a proxy": (404, "<html>no</html>", UnavailableError),
    "no such method": (405, "", YooKassaRefusedError),
    "gateway timeout": (504, "", UnknownError),
}


@each("name", REPLIES)
async def test_strange_replies(name):
    status, text, raised = REPLIES[name]

    async def answer(request: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else None
        return web.Response(status=status, text=text, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        async with YooKassa(shop_settings(str(server.make_url("/v3")))) as shop:
            with pytest.raises(raised) as caught:
                await shop.create_payment(body(), "k1")
            assert not isinstance(caught.value, NotFoundError)
    finally:
        await server.close()


async def test_a_way_to_pay_that_the_sdk_does_not_know_keeps_nothing_back(sandbox, shop):
    made = await shop.create_payment(body(), "k1")
    doc = sandbox.ctx.store.get("yookassa_payment", made.id)
    doc["shown"]["payment_method"] = {"type": "telepathy", "saved": "maybe"}
    doc["shown"]["created_at"] = "2026-11-22T14:30:45.129Z"
    sandbox.ctx.store.put("yookassa_payment", made.id, doc)
    assert (await shop.payment(made.id)).created_at.timestamp() == 1795357845.129


def test_no_error_and_no_representation_holds_the_secret():
    settings = shop_settings("http://127.0.0.1:1/v3", yookassa_secret_key=SecretStr("test_hunter2"))
    assert "hunter2" not in repr(settings)
