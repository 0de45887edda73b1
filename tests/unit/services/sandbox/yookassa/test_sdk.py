"""The official SDK, unchanged, against the sandbox."""

from decimal import Decimal

import pytest
import requests
from yookassa import Configuration, Payment, Refund, Settings
from yookassa.domain.common import SecurityHelper
from yookassa.domain.exceptions import (
    ApiError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from yookassa.domain.notification import WebhookNotificationFactory

from tests.support.waiting import eventually
from tests.unit.services.sandbox.yookassa.conftest import SHOP, order, press, run

pytestmark = pytest.mark.usefixtures("sdk")

RECEIPT = {
    "customer": {"email": "user@example.com"},
    "tax_system_code": 2,
    "items": [
        {
            "description": "Пакет 5 генераций видео",
            "quantity": "1.00",
            "amount": {"value": "390.00", "currency": "RUB"},
            "vat_code": 1,
            "payment_mode": "full_payment",
            "payment_subject": "service",
            "measure": "piece",
        }
    ],
}


async def pay(sandbox, payment) -> None:
    page = {"confirmation": {"confirmation_url": payment.confirmation.confirmation_url}}
    assert await press(sandbox, page, "pay") == "https://t.me/neurocards_bot"


async def test_create_pay_and_find(sandbox):
    created = await run(Payment.create, order(receipt=RECEIPT), "key-1")
    assert (created.status, created.paid, created.test) == ("pending", False, True)
    assert created.confirmation.confirmation_url.startswith(sandbox.url)
    assert created.metadata == {"order_id": "1024", "cms_name": "yookassa_sdk_python"}
    await pay(sandbox, created)
    found = await run(Payment.find_one, created.id)
    assert (found.status, found.paid, found.refundable) == ("succeeded", True, True)
    assert found.amount.value == Decimal("390.00")
    assert found.income_amount.value == Decimal("376.35")
    assert found.recipient.account_id == SHOP
    assert found.receipt_registration == "succeeded"


async def test_refunds_in_parts_and_never_more_than_came(sandbox):
    created = await run(Payment.create, order(), "key-1")
    part = {"payment_id": created.id, "amount": {"value": "100.00", "currency": "RUB"}}
    with pytest.raises(BadRequestError):
        await run(Refund.create, part, "key-2")
    await pay(sandbox, created)
    refund = await run(Refund.create, part | {"description": "Возврат"}, "key-3")
    assert (refund.status, refund.amount.value) == ("succeeded", Decimal("100.00"))
    again = await run(Refund.create, part | {"description": "Возврат"}, "key-3")
    assert again.id == refund.id
    assert (await run(Payment.find_one, created.id)).refunded_amount.value == Decimal("100.00")
    with pytest.raises(BadRequestError) as error:
        await run(Refund.create, part | {"amount": {"value": "290.01", "currency": "RUB"}}, "key-4")
    assert error.value.content["parameter"] == "amount.value"
    await run(Refund.create, part | {"amount": {"value": "290.00", "currency": "RUB"}}, "key-5")
    found = await run(Payment.find_one, created.id)
    assert (found.status, found.refundable) == ("succeeded", False)
    assert (await run(Refund.find_one, refund.id)).payment_id == created.id
    assert len((await run(Refund.list, {"payment_id": created.id})).items) == 2


async def test_lists_in_pages_newest_first(sandbox):
    ids = []
    for number in range(5):
        ids.append((await run(Payment.create, order(), f"key-{number}")).id)
        sandbox.clock.advance(1)
    first = await run(Payment.list, {"limit": 2})
    assert [payment.id for payment in first.items] == ids[:2:-1]
    await run(Payment.create, order(), "key-between")
    second = await run(Payment.list, {"limit": 2, "cursor": first.next_cursor})
    assert [payment.id for payment in second.items] == [ids[2], ids[1]]
    last = await run(Payment.list, {"limit": 2, "cursor": second.next_cursor})
    assert ([payment.id for payment in last.items], last.next_cursor) == ([ids[0]], None)


async def test_the_shop(sandbox):
    shop = await run(Settings.get_account_settings)
    assert (shop.account_id, shop.test) == (SHOP, True)


async def test_notifications_are_such_as_the_sdk_reads(sandbox, listener):
    sandbox.turn(yookassa_notification_url=listener.url)
    created = await run(Payment.create, order(), "key-1")
    await pay(sandbox, created)
    await run(
        Refund.create, {"payment_id": created.id, "amount": {"value": "1.00", "currency": "RUB"}}, "key-2"
    )
    await eventually(lambda: len(listener.received) == 2)
    read = {body["event"]: WebhookNotificationFactory().create(body).object for body in listener.bodies}
    assert set(read) == {"payment.succeeded", "refund.succeeded"}
    assert (read["payment.succeeded"].id, read["payment.succeeded"].paid) == (created.id, True)
    assert read["refund.succeeded"].payment_id == created.id
    assert SecurityHelper().is_ip_trusted(listener.received[0][1]["X-Forwarded-For"])


async def test_errors_are_the_sdks_exceptions(sandbox):
    with pytest.raises(NotFoundError) as missing:
        await run(Payment.find_one, "23d93cac-000f-5000-8000-126628f15141")
    assert missing.value.content["parameter"] == "payment_id"
    for fault, kind in (("429", TooManyRequestsError), ("500_before", InternalServerError)):
        sandbox.fault("yookassa", "create", fault)
        with pytest.raises(kind):
            await run(Payment.create, order(), "key-1")
    sandbox.fault("yookassa", "create", "html_502")
    with pytest.raises((requests.exceptions.JSONDecodeError, ApiError)):
        await run(Payment.create, order(), "key-1")
    assert (await sandbox.get("/__sandbox/book"))["yookassa"]["payments"] == []
    Configuration.configure(SHOP, "wrong", api_url=Configuration.api_url)
    with pytest.raises(UnauthorizedError):
        await run(Payment.create, order(), "key-1")


async def test_an_unknown_result_is_found_out_with_the_same_key(sandbox):
    sandbox.fault("yookassa", "create", "500_after", match={"order": "1024"})
    with pytest.raises(InternalServerError):
        await run(Payment.create, order(), "key-1")
    again = await run(Payment.create, order(), "key-1")
    payments = (await sandbox.get("/__sandbox/book"))["yookassa"]["payments"]
    assert [payment["id"] for payment in payments] == [again.id]
