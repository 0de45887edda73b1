"""One status message per order, edited to the latest state only."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from redis.asyncio import Redis

from ledger.commands import RateVideo
from ledger.sql import load_queries
from services.generation.provider_limits import ProviderLimits, ProviderRates
from services.notifier.status_editor import StatusStore
from services.platform.redis_keys import kie_made
from tests.integration.services.notifier.conftest import NewNotifier, Notifier
from tests.support.order_fixture import OrderFixture, PlacedOrder, Seller
from tests.support.telegram import ScriptedTelegram, Step, refusal

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


async def placed(
    studio: OrderFixture, telegram: ScriptedTelegram, jobs: int = 1
) -> tuple[Seller, PlacedOrder]:
    seller = await studio.seller(locale="en")
    return seller, await studio.order(seller, jobs, status_message=telegram.place(seller.chat_id))


def status_text(telegram: ScriptedTelegram, order: PlacedOrder) -> str:
    assert order.status_message is not None
    return telegram.message(order.seller.chat_id, order.status_message).text


async def make_due(pool: "Pool") -> None:
    await pool.execute(
        "UPDATE status_messages SET due_at = clock_timestamp(),"
        " tick_at = CASE WHEN tick_at IS NOT NULL THEN clock_timestamp() END"
    )


async def test_the_message_moves_with_the_jobs(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    _, order = await placed(studio, telegram)
    job = order.jobs[0]
    seen = []
    for step in (None, studio.start, studio.submit, studio.succeed):
        if step is not None:
            await step(job)
        await notifier.run()
        seen.append(status_text(telegram, order).splitlines()[-1])
        await make_due(pool)
    assert seen == [
        "⏳ in the queue, next in line",
        "✍️ writing the script",
        "🎬 rendering the video",
        "✅ done",
    ]
    assert "Your order is finished" in status_text(telegram, order)


async def test_many_changes_make_one_edit_of_the_latest_state(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notifier.status_editor.PAUSE_S", 600.0)
    seller, order = await placed(studio, telegram, jobs=3)
    for job in order.jobs[:2]:
        await studio.finish(job)
    await studio.start(order.jobs[2])
    await notifier.run()
    assert len(telegram.called("editMessageCaption", seller.chat_id)) == 1
    text = status_text(telegram, order)
    assert text.splitlines()[-3:] == ["1. ✅ done", "2. ✅ done", "3. ✍️ writing the script"]
    # In the pause that follows nothing is edited, however much changes.
    await studio.submit(order.jobs[2])
    await notifier.run()
    assert len(telegram.called("editMessageCaption", seller.chat_id)) == 1


async def test_a_repeated_edit_is_no_trouble(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    """A crash between an edit and its record: the same edit again, answered with "not modified"."""
    seller, order = await placed(studio, telegram)
    await notifier.run()
    await pool.execute("UPDATE status_messages SET shown = 0, due_at = clock_timestamp()")
    await notifier.edit()
    assert len(telegram.called("editMessageCaption", seller.chat_id)) == 2
    stored = await pool.fetchrow("SELECT wanted, shown, abandoned FROM status_messages")
    assert stored is not None and stored["shown"] == stored["wanted"] and not stored["abandoned"]
    assert "in the queue" in status_text(telegram, order)


async def test_an_old_edit_that_lands_on_a_newer_one_is_put_right(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    _, order = await placed(studio, telegram)
    slow, quick = new_notifier(), new_notifier()
    await slow.follow()
    held = telegram.next("editMessageCaption", Step(hold=True))
    late = asyncio.create_task(slow.editor.run_once())
    await held.reached.wait()
    await make_due(pool)  # its lease is over
    await studio.finish(order.jobs[0])
    await quick.follow()
    await quick.edit()
    assert order.status_message is not None
    shown = telegram.message(order.seller.chat_id, order.status_message)
    shown.text = "the late edit"  # as if only now it had arrived
    held.release.set()
    await late
    await make_due(pool)
    await quick.edit()
    assert "✅ done" in shown.text


async def test_a_message_that_is_gone_is_given_up_and_the_video_still_comes(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    _, order = await placed(studio, telegram)
    telegram.next("editMessageCaption", refusal(400, "Bad Request: message to edit not found"))
    await notifier.run()
    await studio.finish(order.jobs[0])
    await make_due(pool)
    await notifier.run()
    assert len(telegram.called("editMessageCaption")) == 1
    assert len([m for m in telegram.messages if m.video]) == 1


async def test_trouble_with_telegram_only_delays_an_edit(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    _, order = await placed(studio, telegram)
    telegram.next("editMessageCaption", Step(takes_effect=False, drop=True))
    telegram.next("editMessageCaption", refusal(429, "Too Many Requests: retry after 3", 3))
    telegram.next("editMessageCaption", Step(takes_effect=False, status=502, html=True))
    for _ in range(4):
        await notifier.run()
        await notifier.redis.flushdb()  # the chat's pause
        await make_due(pool)
    assert "in the queue" in status_text(telegram, order)


async def test_an_order_without_a_message_is_not_waited_for(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    await notifier.run()
    assert not telegram.called("editMessageCaption")
    assert len(telegram.sent(seller.chat_id)) == 1


async def test_fifty_jobs_fit_into_one_message(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram
) -> None:
    _, order = await placed(studio, telegram, jobs=50)
    await studio.finish(order.jobs[0])
    await notifier.run()
    text = status_text(telegram, order)
    assert "in the queue: 49" in text and "done: 1" in text


async def test_a_draft_that_learns_its_message_late_is_still_shown(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller(locale="en")
    order = await studio.order(seller)
    await notifier.run()
    message_id = telegram.place(seller.chat_id)
    await pool.execute("UPDATE drafts SET message_id = $2 WHERE draft = $1", order.order_id, message_id)
    await make_due(pool)
    await notifier.run()
    assert "in the queue" in telegram.message(seller.chat_id, message_id).text


async def test_the_bar_moves_by_time_alone_in_few_edits(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller, order = await placed(studio, telegram)
    notifier.usual_s = 1000.0
    await studio.start(order.jobs[0])
    await studio.submit(order.jobs[0])
    await notifier.run()
    assert "▱▱▱▱▱▱▱▱▱▱ 0 %, about 17 min left" in status_text(telegram, order)
    notifier.usual_s = 1.0  # measured anew meanwhile: what is on its way keeps its own
    edits = 1
    for gone_s, said in (
        (1, "0 %"),
        (450, "40 %"),
        (460, "40 %"),
        (1200, "95 %, almost"),
        (1600, "longer than usual"),
    ):
        before = status_text(telegram, order)
        await pool.execute(
            "UPDATE order_jobs SET rendering_us = (extract(epoch FROM clock_timestamp()) - $1) * 1e6",
            float(gone_s),
        )
        await pool.execute("UPDATE status_messages SET due_at = clock_timestamp()")
        await notifier.edit()  # not its time yet
        assert status_text(telegram, order) == before
        await make_due(pool)
        await notifier.edit()
        assert said in status_text(telegram, order)
        edits += status_text(telegram, order) != before
    assert len(telegram.called("editMessageCaption", seller.chat_id)) == edits == 4
    assert await pool.fetchval("SELECT tick_at FROM status_messages") is None, "nothing moves any more"
    await studio.succeed(order.jobs[0])
    await make_due(pool)
    await notifier.run()
    assert status_text(telegram, order).endswith("✅ done")


async def test_a_place_in_the_queue_and_a_tick_that_is_lost(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    _, first = await placed(studio, telegram, jobs=2)
    _, order = await placed(studio, telegram)
    notifier = new_notifier()
    await notifier.run()
    assert status_text(telegram, order).endswith("⏳ in the queue, about 1 video before it")
    await studio.start(first.jobs[0])
    await studio.submit(first.jobs[0])
    await notifier.follow()
    await make_due(pool)
    taken = await StatusStore(pool, "order", lease_s=60).claim(9)  # by one that dies
    assert {status.name: status.tick for status in taken} == {first.order_id: False, order.order_id: True}
    await notifier.edit()
    assert "about 1 video before it" in status_text(telegram, order)
    await make_due(pool)  # the leases end
    await notifier.edit()
    assert status_text(telegram, order).endswith("⏳ in the queue, next in line")


async def test_a_place_is_that_of_the_turns_that_workers_get(
    studio: OrderFixture, notifier: Notifier, pool: "Pool", redis: Redis
) -> None:
    """Whoever has ordered five does not keep others waiting for all of them; equal turns fall as they may."""
    orders = [await studio.order(await studio.seller(), jobs) for jobs in (5, 1, 3, 2)]
    await notifier.follow()
    rows = await pool.fetch(load_queries("services.notifier")("status_lines"), [o.order_id for o in orders])
    told = {row["job"]: row["ahead"] for row in rows}
    assert sorted(told.values()) == [*range(11)]
    limits = ProviderLimits(redis, ProviderRates(creations=1, per_s=60, in_flight_max=99, forget_s=60))
    assert (await limits.turn("busy", "nobody", ["k1"])).account
    waiting = {job: order.order_id for order in orders for job in order.jobs}
    for job, seller in waiting.items():
        assert not (await limits.turn(job, seller, ["k1"])).account
    came: list[str] = []
    while waiting:
        await redis.delete(kie_made("k1"))
        turns = [(job, await limits.turn(job, seller, ["k1"])) for job, seller in waiting.items()]
        (job,) = [job for job, turn in turns if turn.account]
        came.append(job)
        del waiting[job]
    assert all(abs(at - told[job]) < len(orders) for at, job in enumerate(came)), (came, told)
    alone = orders[1].jobs[0]
    assert told[alone] == 1 and came.index(alone) < 4, "not behind all five"


async def test_a_rating_stands_on_the_card_and_takes_its_buttons_away(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller, order = await placed(studio, telegram, jobs=2)
    card = telegram.message(seller.chat_id, order.status_message or 0)
    first, second = order.jobs
    await studio.finish(first)
    await notifier.run()
    assert card.buttons == [], "as long as something is being made"
    await studio.fail(order, second)
    await make_due(pool)
    await notifier.run()
    assert card.buttons[:3] == [f"rate:{first}:5", f"rate:{first}:1", f"again:{order.order_id}:"]
    for _ in range(2):
        await studio.ledger.execute(RateVideo(first, seller.account, 1), key=f"rate:{first}")
        await make_due(pool)
        await notifier.run()
    assert "1. ✅ done 👎" in card.text and card.buttons[0] == f"again:{order.order_id}:"
    assert card.edits == 3


async def test_a_card_that_is_gone_ticks_no_more(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller, _ = await placed(studio, telegram)
    await notifier.run()
    for gone in ("Bad Request: message to edit not found", "Forbidden: bot was blocked by the user"):
        await pool.execute("UPDATE status_messages SET abandoned = false, shown = 0")
        telegram.next("editMessageCaption", refusal(400 if "Bad" in gone else 403, gone))
        await make_due(pool)
        await notifier.edit()
        calls = len(telegram.called("editMessageCaption", seller.chat_id))
        await make_due(pool)
        await notifier.edit()
        assert len(telegram.called("editMessageCaption", seller.chat_id)) == calls
