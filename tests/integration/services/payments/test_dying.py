"""A process is killed at every step of buying and refunding; Postgres goes away and comes back."""

import asyncio
import os
import signal

import pytest

from ledger.log.ledger import Ledger
from ledger.postgres import DATABASE_ERRORS
from services.platform.database import create_pool
from services.platform.ids import new_id
from tests.support.notifying import notified
from tests.support.payment_fixture import PaymentFixture, payment_settings, till
from tests.support.self_killing_payment import POINTS, self_killing_payment
from tests.support.servers import migrated
from tests.support.waiting import eventually


async def quiet(shop: PaymentFixture, payment: str) -> None:
    """The monitor goes on, the payer pays what can be paid, until nothing is open any more."""

    async def is_so() -> bool:
        await shop.watching.run_once()
        view = await shop.desk.view(payment)
        if (
            view is not None
            and view.standing == "pending"
            and shop.book()["payments"][0]["status"] == "pending"
        ):
            await shop.press(payment)
        return not await shop.pool.fetchval("SELECT count(*) FROM payment_watch")

    await eventually(is_so)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_every_step(shop, sandbox, point):
    buyer, payment = await shop.buyer(), new_id()
    process = self_killing_payment(point, shop.settings.database_url, sandbox.url, buyer, payment)
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL, point
    if point in ("reserve", "watch"):  # nothing stands in the ledger, and nothing will
        await shop.pool.execute("UPDATE payment_watch SET opened_at = opened_at - interval '2 hours'")
    await quiet(shop, payment)
    books = await shop.credits_are_money()
    reserved = POINTS.index(point) >= POINTS.index("IntendRefund")
    assert [money.revoked for money in books.values()] == ([] if point == "reserve" else [2 * reserved])
    assert len(shop.book()["payments"]) == (point != "reserve")
    assert len(shop.book()["refunds"]) == reserved
    report = await shop.comparison.run(1)
    assert report is not None and report.differences == []


async def test_postgres_away(own_postgres, sandbox):
    """Whoever is told meanwhile says "later"; afterwards everything is as it should be."""
    url = await migrated(own_postgres)
    settings = payment_settings(url, sandbox.url)
    async with (
        await create_pool(settings, "test") as pool,
        Ledger(url, pool) as ledger,
        till(settings, ledger, pool, sandbox) as shop,
        notified(shop) as wire,
    ):
        told, tapped, unmade = await shop.pending(), await shop.pending(), await shop.order()
        for payment in (told, tapped):
            await shop.press(payment)
        name = await shop.provider_payment(told)
        assert own_postgres.pid is not None
        os.kill(own_postgres.pid, signal.SIGKILL)
        await eventually(lambda: own_postgres.exit_code is not None)
        statuses = await asyncio.gather(*(wire.send(name) for _ in range(10)))
        assert set(statuses) == {503}
        for call in (shop.yookassa.check(tapped), shop.yookassa.make(unmade), shop.watching.run_once()):
            with pytest.raises(DATABASE_ERRORS):
                await call
        own_postgres.start()

        async def taken() -> bool:
            return await wire.send(name) == 200

        await eventually(taken)
        for payment in (tapped, unmade):
            await shop.yookassa.check(payment)
        assert len(await shop.credits_are_money()) == 2
        assert len(shop.book()["payments"]) == 3


async def test_postgres_away_between_the_read_and_the_commit(own_postgres, sandbox, monkeypatch):
    """The provider has been read, and then the ledger cannot be reached: not 200, and credited later."""
    url = await migrated(own_postgres)
    settings = payment_settings(url, sandbox.url)
    async with (
        await create_pool(settings, "test") as pool,
        Ledger(url, pool) as ledger,
        till(settings, ledger, pool, sandbox) as shop,
        notified(shop) as wire,
    ):
        payment = await shop.pending()
        await shop.press(payment)
        name, read = await shop.provider_payment(payment), shop.shop.payment

        async def read_and_lose(provider_payment):
            record = await read(provider_payment)
            own_postgres.stop()
            return record

        with monkeypatch.context() as patched:
            patched.setattr(shop.shop, "payment", read_and_lose)
            assert await wire.send(name) == 503
        own_postgres.start()

        async def taken() -> bool:
            return await wire.send(name) == 200

        await eventually(taken)
        assert len(await shop.credits_are_money()) == 1
