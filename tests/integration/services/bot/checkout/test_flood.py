"""One person writes 1,600 messages, and Telegram takes no answer to them: everybody else is served."""

import asyncio
import json
from typing import Any

import pytest

from services.adapters.telegram.updates import PER_CHAT_MAX
from tests.integration.services.bot.checkout.buyer import Buyer
from tests.integration.services.bot.people import CREATE, BotWorld
from tests.support.waiting import eventually

FLOOD = 1600


@pytest.mark.chaos
async def test_a_flood_of_one_person_is_nobody_elses_wait(
    buyer: Buyer, other_buyer: Buyer, world: BotWorld
) -> None:
    before = len(world.bot.log)
    invoice = await other_buyer.order_by_stars()
    chat = str(buyer.chat.user_id)
    rule = await world.fault(
        buyer.http, api="telegram", call="sendMessage", fault="500", times=None, match={"chat": chat}
    )
    await buyer.chat.look()
    seen = buyer.chat.seen
    for start in range(0, FLOOD, 100):
        await asyncio.gather(*(buyer.chat.say(f"message {n}") for n in range(start, start + 100)))
    await eventually(lambda: _all_came(world, buyer, before), 120, what="the flood in the inbox")
    assert (await other_buyer.pay_stars(invoice))["state"] == "paid"
    await other_buyer.say("/menu")
    await other_buyer.sees(CREATE)
    assert 0 < await _waiting(world, buyer) <= PER_CHAT_MAX + 1, "the flood is still there, and bounded"
    await buyer.http.delete(f"{world.sandbox_url}/__sandbox/faults/{rule}")
    await eventually(lambda: _none_waits(world, buyer), 60, what="the rest of the flood answered")
    await buyer.chat.look()
    answers = [message.get("text", "") for message in buyer.chat.news(seen)]
    apologies = [text for text in answers if "Too many messages at once" in text]
    assert len(apologies) == 1
    assert len(answers) - 1 + _dropped(world, before) == FLOOD, "answered, or told that it was not read"
    assert len(answers) - 1 <= PER_CHAT_MAX + 1


async def _waiting(world: BotWorld, buyer: Buyer) -> int:
    rows = await world.rows("SELECT count(*) FROM updates WHERE chat_id = $1", buyer.chat.user_id)
    return int(rows[0][0])


async def _all_came(world: BotWorld, buyer: Buyer, before: int) -> bool:
    return await _waiting(world, buyer) + _dropped(world, before) == FLOOD


async def _none_waits(world: BotWorld, buyer: Buyer) -> bool:
    return await _waiting(world, buyer) == 0


def _dropped(world: BotWorld, before: int) -> int:
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in world.bot.log[before:].splitlines() if "updates_dropped" in line
    ]
    return sum(line["count"] for line in lines)
