"""Two notifiers at once, Redis dead or wiped, an old log: nobody hears twice, nobody waits."""

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from services.adapters.telegram.limits import Rates, Slot, TelegramLimits
from tests.integration.services.notifier.conftest import FAST, NewNotifier, Notifier
from tests.support.order_fixture import OrderFixture
from tests.support.telegram import ScriptedTelegram
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class HeldLimits(TelegramLimits):
    """Lets nobody through until told."""

    def __init__(self) -> None:
        super().__init__(None, FAST)
        self.reached = asyncio.Event()
        self.release = asyncio.Event()

    async def take(self, chat_id: int, *, wait_s_max: float, urgent: bool = True) -> Slot:
        self.reached.set()
        await self.release.wait()
        return await super().take(chat_id, wait_s_max=wait_s_max, urgent=urgent)


async def test_two_notifiers_share_the_work_and_double_nothing(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    sellers = [await studio.seller() for _ in range(8)]
    orders = [
        await studio.order(seller, 5, status_message=telegram.place(seller.chat_id)) for seller in sellers
    ]
    both = [new_notifier(), new_notifier()]

    async def run(notifier: Notifier) -> None:
        while await pool.fetchval("SELECT count(*) FILTER (WHERE state = 'sent') FROM deliveries") < 40:
            await notifier.follower.run_once()
            await asyncio.gather(notifier.sender.run_once(), notifier.editor.run_once())

    running = [asyncio.create_task(run(notifier)) for notifier in both]
    for number in range(5):
        for order in orders:
            await studio.finish(order.jobs[number], str(number).encode())
    await asyncio.wait_for(asyncio.gather(*running), 60)
    for notifier in both:
        await notifier.sender.drain()
    for seller in sellers:
        videos = [shown.video for shown in telegram.of(seller.chat_id) if shown.video]
        assert videos == [str(number).encode() for number in range(5)]


async def test_one_that_was_overtaken_before_sending_lets_go(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    slow, quick = new_notifier(), new_notifier()
    limits = HeldLimits()
    slow.sender._limits = limits
    await slow.follow()
    await slow.sender.run_once()
    await limits.reached.wait()
    await pool.execute("UPDATE deliveries SET due_at = clock_timestamp()")  # its lease is over
    await quick.send()
    limits.release.set()
    await slow.sender.drain()
    assert len(telegram.sent(seller.chat_id)) == 1


async def test_a_renewed_delivery_stays_with_its_sender(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    slow, other = new_notifier(lease_s=60), new_notifier()
    limits = HeldLimits()
    slow.sender._limits = limits
    await slow.follow()
    await slow.sender.run_once()
    await limits.reached.wait()
    await pool.execute("UPDATE deliveries SET due_at = clock_timestamp()")
    await slow.sender.renew_once()
    assert await other.sender.run_once() == 0
    limits.release.set()
    await slow.sender.drain()
    assert len(telegram.sent(seller.chat_id)) == 1


async def test_a_wiped_redis_repeats_nothing_of_an_old_log(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller(credits=100)
    order = await studio.order(seller, 50)
    await asyncio.gather(*(studio.fail(order, job) for job in order.jobs))
    first = new_notifier()
    await first.run()
    assert len(telegram.sent(seller.chat_id)) == 50
    await first.redis.flushdb()
    again = new_notifier()
    await again.run()
    assert len(telegram.sent(seller.chat_id)) == 50
    # and what is new still arrives
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    await again.run()
    assert len(telegram.sent(seller.chat_id)) == 51


async def test_a_rolled_back_batch_is_followed_again(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool", database_url: str
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'boom'; END $$;"
        "CREATE TRIGGER boom BEFORE UPDATE ON cursors FOR EACH ROW WHEN (NEW.name = 'notifier') "
        "EXECUTE FUNCTION boom()"
    )
    try:
        await notifier.follower.run_once()
    except asyncpg.RaiseError:
        pass
    else:
        raise AssertionError("the trigger did not fire")
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 0
    await owner.execute("DROP TRIGGER boom ON cursors")
    await owner.close()
    await notifier.run()
    assert len(telegram.sent(seller.chat_id)) == 1


async def test_the_pace_of_a_chat_is_kept_by_all_together(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller, 4)
    await studio.finish_all(order.jobs)
    rates = Rates(all_per_s=1000, all_burst=100, chat_per_s=4, chat_burst=1)
    both = [new_notifier(rates=rates), new_notifier(rates=rates)]
    await both[0].follow()

    async def send(notifier: Notifier) -> None:
        await notifier.sender.run_once()
        await notifier.sender.drain()

    async def all_sent() -> bool:
        await asyncio.gather(*map(send, both))
        return len(telegram.sent(seller.chat_id)) == 4

    began_s = asyncio.get_running_loop().time()
    await eventually(all_sent)
    times = [call.at_s - began_s for call in telegram.called("sendVideo")]
    # A busy machine makes any of them late, and the next one then follows closely; none is early.
    assert all(at_s > number / rates.chat_per_s - 0.05 for number, at_s in enumerate(times)), times


async def test_who_cannot_note_it_for_longer_than_the_lease_does_not_send_again(
    studio: OrderFixture,
    new_notifier: NewNotifier,
    telegram: ScriptedTelegram,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Postgres is away once the message has arrived; back again, the row looks like one nobody has."""
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    notifier = new_notifier(lease_s=0.1)
    note, back = notifier.sender._deliveries.sent, asyncio.Event()

    async def note_when_back(*arguments: Any) -> bool:
        if not back.is_set():
            raise OSError("Postgres is away")
        return await note(*arguments)

    monkeypatch.setattr(notifier.sender._deliveries, "sent", note_when_back)
    await notifier.follow()
    assert await notifier.sender.run_once() == 1
    await eventually(lambda: telegram.sent(seller.chat_id))
    await eventually(notifier.sender.run_once, what="the row is taken once more")
    back.set()
    await notifier.sender.drain()
    await notifier.run()
    assert len(telegram.sent(seller.chat_id)) == 1
