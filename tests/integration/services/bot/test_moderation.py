"""Orders that are judged before they are charged: the bot, the sandboxed OpenAI, and what is remembered."""

import io

import httpx
import pytest
from PIL import Image

from tests.integration.services.bot.people import ORDER, STYLES, Books, BotWorld, Visitor

ACCEPTED = "✅ Accepted: 1 video, 1 credit charged."
REFUSED = "Nothing was charged: please change the order."
BAD_WORDS = "A red mug flagged-by-moderation:sexual"


def magenta() -> bytes:
    """What the sandbox takes for a bad photo."""
    out = io.BytesIO()
    Image.new("RGB", (640, 480), "#ff00ff").save(out, "PNG")
    return out.getvalue()


async def asked(world: BotWorld, http: httpx.AsyncClient, rule: str) -> int:
    """How often a fault rule has seen its call."""
    rules = (await http.get(f"{world.sandbox_url}/__sandbox/faults")).json()["rules"]
    return next(int(known["seen"]) for known in rules if known["id"] == rule)


async def test_bad_words_and_a_bad_photo_are_changed_and_nothing_else(
    visitor: Visitor, world: BotWorld
) -> None:
    await visitor.enter()
    await visitor.photo(magenta(), caption=BAD_WORDS)
    await visitor.pick("style", "commercial")
    await visitor.press("card|view|wishes|")
    await visitor.hears("Any wishes")
    await visitor.say("on a windowsill")
    assert await visitor.press(ORDER) == REFUSED
    words = await visitor.hears("cannot be made")
    assert "the photo: violence or injuries" in words and "the description: nudity" in words
    assert await visitor.books() == Books(2, 0, 0)
    await visitor.photo(caption="A red mug")
    await visitor.press("card|photo|yes")
    words = await visitor.hears("New video")
    assert "A red mug\n" in words and "on a windowsill" in words and "Product commercial" in words
    assert await visitor.press(ORDER) == ACCEPTED
    assert await visitor.books() == Books(1, 1, 1)
    assert "flagged-by-moderation" not in world.bot.log, "what was written is not logged"


@pytest.mark.chaos
async def test_ten_taps_and_a_restart_ask_once(
    visitor: Visitor, world: BotWorld, http: httpx.AsyncClient
) -> None:
    """Counted by a fault that never comes to its turn."""
    rule = await world.fault(
        http, api="openai", call="moderations", fault="hang", after=1000, match={"prompt": BAD_WORDS}
    )
    await visitor.enter()
    await visitor.photo(caption=BAD_WORDS)
    await visitor.pick("style", "ugc")
    confirm = await visitor.sees(ORDER)
    assert await visitor.tap(confirm) == REFUSED
    world.bot.kill()
    world.bot.start(wait_s=60)
    for _ in range(9):
        assert await visitor.tap(confirm) == REFUSED
    assert await asked(world, http, rule) == 1
    assert await visitor.books() == Books(2, 0, 0)
    buttons = visitor.buttons(confirm.message_id)
    assert buttons[0] == confirm.data and any(data.startswith(STYLES) for data in buttons)


async def test_where_openai_does_not_answer_the_order_goes_through_in_time(
    visitor: Visitor, world: BotWorld, http: httpx.AsyncClient
) -> None:
    word = "a kettle that is never judged"
    await world.fault(
        http, api="openai", call="moderations", fault="hang", times=None, match={"prompt": word}
    )
    await visitor.enter()
    await visitor.photo(caption=word)
    await visitor.pick("style", "ugc")
    before = len(world.bot.log)
    assert await visitor.press(ORDER) == ACCEPTED
    assert await visitor.books() == Books(1, 1, 1)
    log = world.bot.log[before:]
    assert "moderation_skipped" in log and "timeout" in log and word not in log


async def test_verdicts_belong_to_the_person(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    assert await visitor.tap(confirm) == ACCEPTED
    rows = await world.rows(
        "SELECT content, kinds FROM verdicts JOIN accounts USING (account) WHERE telegram_id = $1",
        visitor.chat.user_id,
    )
    names = sorted(row["content"].split("/")[0].split(":")[0] for row in rows)
    assert names == ["photos", "text"] and all(row["kinds"] == [] for row in rows)
