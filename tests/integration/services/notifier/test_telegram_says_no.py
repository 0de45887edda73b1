"""Whatever Telegram answers, or does not: never a loss, at most one double."""

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from services.notifier.sender import UNKNOWN_TWICE
from tests.integration.services.notifier.conftest import NewNotifier, Notifier, make_due, row
from tests.support.order_fixture import OrderFixture
from tests.support.telegram import ScriptedTelegram, Step, refusal

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


async def test_a_timeout_after_delivery_doubles_once_at_most(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    telegram.next("sendVideo", Step(drop=True), times=9)  # arrives, but nobody hears that it did
    await notifier.follow()
    for _ in range(5):
        await notifier.send()
        await make_due(pool)
    assert len(telegram.sent(seller.chat_id)) == 2
    stored = await row(pool, order.jobs[0])
    assert (stored["state"], stored["last_error"]) == ("failed", UNKNOWN_TWICE)


async def test_what_may_not_have_arrived_twice_is_linked_in_the_status_message(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller, status_message=telegram.place(seller.chat_id))
    await studio.finish(order.jobs[0])
    telegram.next("sendVideo", Step(takes_effect=False, drop=True), times=2)
    await notifier.follow()
    for _ in range(4):
        await notifier.send()
        await make_due(pool)
    await notifier.edit()
    assert order.status_message is not None
    assert "/files/" in telegram.message(seller.chat_id, order.status_message).text


async def test_a_send_that_certainly_did_not_arrive_is_repeated_without_limit(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    telegram.next("sendVideo", refusal(500, "Internal Server Error"), times=3)
    telegram.next("sendVideo", Step(takes_effect=False, status=502, html=True), times=3)
    await notifier.follow()
    for _ in range(7):
        await notifier.send()
        await make_due(pool)
    assert len(telegram.called("sendVideo")) == 7
    assert len(telegram.sent(seller.chat_id)) == 1
    assert (await row(pool, order.jobs[0]))["state"] == "sent"


async def test_telegram_out_of_reach_counts_as_not_sent(
    studio: OrderFixture, new_notifier: NewNotifier, pool: "Pool", telegram: ScriptedTelegram, settings: Any
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    notifier = new_notifier()
    notifier.bot.session.api = type(notifier.bot.session.api).from_base("http://127.0.0.1:9")
    await notifier.follow()
    for _ in range(4):
        await notifier.send()
        await make_due(pool)
    stored = await row(pool, order.jobs[0])
    assert (stored["state"], stored["unknown_sends"], stored["attempts"]) == ("pending", 0, 4)
    await new_notifier().send()
    assert len(telegram.sent(seller.chat_id)) == 1


async def test_a_flood_wait_is_obeyed_and_holds_the_chat_only(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    busy, other = await studio.seller(), await studio.seller()
    orders = [await studio.order(busy, 2), await studio.order(other)]
    for order in orders:
        await studio.finish_all(order.jobs)
    telegram.next("sendVideo", refusal(429, "Too Many Requests: retry after 7", 7), chat_id=busy.chat_id)
    await notifier.run()
    assert len(telegram.called("sendVideo", busy.chat_id)) == 1
    assert len(telegram.sent(other.chat_id)) == 1
    waits = await pool.fetch(
        "SELECT extract(epoch FROM due_at - clock_timestamp()) AS wait_s, last_error FROM deliveries "
        "WHERE account = $1 AND last_error IS NOT NULL",
        busy.account,
    )
    assert len(waits) == 1 and 5 < waits[0]["wait_s"] <= 7
    assert str(busy.chat_id) not in waits[0]["last_error"]


@pytest.mark.parametrize(
    ("status", "description"),
    [
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: user is deactivated"),
        (400, "Bad Request: chat not found"),
    ],
)
async def test_a_chat_that_is_gone_is_final(
    studio: OrderFixture,
    notifier: Notifier,
    telegram: ScriptedTelegram,
    pool: "Pool",
    status: int,
    description: str,
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    telegram.next("sendVideo", refusal(status, description))
    await notifier.run()
    await make_due(pool)
    await notifier.run()
    assert len(telegram.called("sendVideo")) == 1
    assert (await row(pool, order.jobs[0]))["state"] == "failed"
