"""Asking twice is asking once: double taps, replayed updates, kill -9 at the worst moments, lost places."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from services.adapters.telegram.callback_data import Order
from tests.integration.services.bot.people import ORDER, STYLES, Books, BotWorld, Visitor
from tests.support.waiting import eventually

ACCEPTED = "✅ Accepted: 1 video, 1 credit charged."
ALREADY = "This order is placed already: one tap is enough."


async def test_ten_taps_at_once_are_one_order(visitor: Visitor) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    toasts = await visitor.tap_at_once(confirm, 10)
    assert sorted(toasts) == sorted([ACCEPTED] + [ALREADY] * 9)
    assert await visitor.books() == Books(1, 1, 1)


async def test_double_taps_on_every_step_lead_to_one_screen(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.to_style()
    for data in (STYLES, "card|style|ugc|", "card|view|numbers|", "card|number|2|"):
        button = await visitor.sees(data)
        assert await visitor.tap_at_once(button, 2) == ["", ""]
    await visitor.sees(ORDER)
    drafts = await visitor.world.rows("SELECT 1 FROM drafts WHERE chat_id = $1", visitor.chat.user_id)
    assert len(drafts) == 1


async def test_a_replayed_update_charges_once(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    await visitor.tap(confirm)
    message = {"message_id": confirm.message_id, **visitor.as_sender()}
    tap = {"id": "77", "chat_instance": "1", "data": confirm.data, "message": message} | {
        "from": visitor.as_sender()["from"]
    }
    for update_id in (41, 42):
        await world.inject(update_id, tap, "callback_query")
    await eventually(lambda: _handled(world, 41, 42))
    assert await visitor.books() == Books(1, 1, 1)
    await visitor.chat.look()
    assert "in the queue" in visitor.message(confirm.message_id)["caption"]


async def _handled(world: BotWorld, *update_ids: int) -> bool:
    return not await world.rows(
        "SELECT 1 FROM updates WHERE update_id = ANY ($1::bigint[])", list(update_ids)
    )


@pytest.mark.parametrize(
    ("moment", "charged_at_the_kill"),
    [("editMessageCaption", False), ("answerCallbackQuery", True)],
    ids=["before the commit", "between the commit and the answer"],
)
async def test_kill_9_while_ordering(
    visitor: Visitor, world: BotWorld, http: httpx.AsyncClient, moment: str, charged_at_the_kill: bool
) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    rule = await world.fault(http, api="telegram", call=moment, fault="hang", args={"seconds": 60})
    await visitor.tap(confirm, wait_s=0)
    await eventually(lambda: _taken(world, http, rule))
    world.bot.kill()
    assert await visitor.books() == (Books(1, 1, 1) if charged_at_the_kill else Books(2, 0, 0))
    world.bot.start(wait_s=60)
    await visitor.hears("in the queue")
    await eventually(lambda: _settled(world, visitor))
    assert await visitor.books() == Books(1, 1, 1)
    assert await visitor.tap(confirm) == ALREADY
    assert await visitor.books() == Books(1, 1, 1)
    row = await world.rows(
        "SELECT ordered, message_id FROM drafts WHERE draft = $1", Order.unpack(confirm.data).draft
    )
    assert tuple(row[0]) == (True, confirm.message_id)


async def _taken(world: BotWorld, http: httpx.AsyncClient, rule: str) -> bool:
    """Whether the bot waits in the call that the rule holds up."""
    rules = (await http.get(f"{world.sandbox_url}/__sandbox/faults")).json()["rules"]
    return any(known["id"] == rule and known["used"] for known in rules)


async def _settled(world: BotWorld, visitor: Visitor) -> bool:
    return not await world.rows("SELECT 1 FROM updates WHERE user_id = $1", visitor.chat.user_id)


@pytest.mark.chaos
async def test_kill_9_loses_no_message(visitor: Visitor, world: BotWorld) -> None:
    """What was said while the bot was dead or dying is answered by the next one, in order."""
    await visitor.enter()
    await visitor.to_product()
    world.bot.kill()
    await visitor.say("A green lamp")
    world.bot.start(wait_s=60)
    await visitor.sees(STYLES)


@pytest.mark.chaos
@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_restart_loses_nobodys_place(visitor: Visitor, world: BotWorld, end: str) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    if end == "stop":
        assert world.bot.stop() == 0
    else:
        world.bot.kill()
    world.bot.start(wait_s=60)
    await visitor.tap(confirm)
    assert await visitor.books() == Books(1, 1, 1)


async def test_a_wiped_redis_loses_nothing_of_an_order(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await visitor.to_product()
    await _valkey(world, lambda redis: redis.flushall())
    await visitor.say("A paper boat")
    await visitor.pick("style", "macro")
    await _valkey(world, lambda redis: redis.flushall())
    words = await visitor.hears("Texture and macro")
    assert "A paper boat" in words
    assert await visitor.press(ORDER) == ACCEPTED
    await visitor.say("hello")
    await visitor.hears("choose from the menu")
    assert await visitor.books() == Books(1, 1, 1)


async def _valkey(world: BotWorld, act: Callable[..., Awaitable[object]]) -> None:
    from redis.asyncio import Redis

    redis = Redis.from_url(world.valkey.url())
    try:
        await act(redis)
    finally:
        await redis.aclose()


async def test_without_redis_an_order_is_made_all_the_same(visitor: Visitor, world: BotWorld) -> None:
    """Its pace is kept without it; what is made is made when it is back."""
    await visitor.enter()
    await visitor.to_product()
    before = len(world.bot.log)
    world.valkey.stop()
    try:
        await visitor.say("A paper boat")
        await visitor.pick("style", "macro")
        assert await visitor.press(ORDER) == ACCEPTED
    finally:
        world.valkey.start()
    assert await visitor.books() == Books(1, 1, 1)
    log = world.bot.log[before:]
    assert log.count("trouble_met") <= 2, "one line, not a storm"
