"""Many payments at once, each told of several times: none lost, none doubled."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.adapters.yookassa.errors import YooKassaNoAnswerError
from tests.support.notifying import notified
from tests.support.payment_fixture import till
from tests.support.waiting import eventually

MANY = pytest.param(1000, marks=pytest.mark.bench)  # a minute of a core: run by `make bench`


@pytest.fixture
async def patient(settings, ledger, pool, sandbox):
    """The provider lives in this very process, and is slow when there is much to do."""
    async with till(settings.replace(yookassa_read_seconds=30), ledger, pool, sandbox) as shop:
        yield shop


async def until_answered(ask: Callable[[], Awaitable[object]]) -> None:
    """As a seller does: tap again when told that there is no answer yet."""
    while True:
        try:
            await ask()
        except YooKassaNoAnswerError:
            continue
        return


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [100, MANY])
async def test_many_at_once_with_duplicates(patient, sandbox, count):
    """Twice told by the sandbox, once more by a stranger on its network; one in ten taps "I have paid"."""
    shop = patient
    buyers = await asyncio.gather(*(shop.buyer() for _ in range(50)))
    sandbox.fault("yookassa", "notify", "notify_twice", times=None)

    async def bought(number: int) -> str:
        payment = str(await shop.order(buyers[number % len(buyers)]))
        await until_answered(lambda: shop.yookassa.make(payment))
        await shop.press(payment)
        if number % 10 == 0:
            await until_answered(lambda: shop.yookassa.check(payment))
        return payment

    async with notified(shop) as wire:
        sandbox.turn(yookassa_notification_url=wire.url, yookassa_redelivery_seconds=[1])
        payments = await asyncio.gather(*(bought(number) for number in range(count)))
        names = [shown["id"] for shown in shop.book()["payments"]]
        await asyncio.gather(*(wire.send(name) for name in names))
        await eventually(
            lambda: {note["state"] for note in shop.book()["notifications"]} == {"delivered"},
            90,
            interval_s=1,
        )
    assert len(set(payments)) == len(await shop.credits_are_money()) == count
    for buyer in buyers:
        assert (await shop.ledger.read.account(buyer)).balance == 5 * count // len(buyers)
