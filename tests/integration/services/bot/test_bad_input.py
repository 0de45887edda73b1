"""Bad input: a clear answer, nothing charged, no traceback (`world` looks), the flow still usable."""

import io
from typing import Any

import pytest
from PIL import Image

from services.adapters.telegram.callback_data import Again, CardButton, Order
from tests.integration.services.bot.people import CREATE, ORDER, STYLES, Books, BotWorld, Visitor, picture

NOTHING = Books(2, 0, 0)


async def go_on(visitor: Visitor) -> None:
    """From waiting for a photo to the style: the flow is still usable, and nothing was charged."""
    await visitor.photo()
    await visitor.hears("describe the product")
    await visitor.say("A red mug")
    await visitor.sees(STYLES)
    assert await visitor.books() == NOTHING


def bomb() -> bytes:
    """Fifty megapixels in a few hundred kilobytes."""
    out = io.BytesIO()
    Image.new("L", (10_000, 5_000), 9).save(out, "PNG")
    return out.getvalue()


def animation() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (400, 400), color) for color in ("red", "blue")]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    return out.getvalue()


FILES = {
    "a text with an image's name": (b"no image at all " * 100, "image/jpeg", "not a picture"),
    "a bomb": (bomb(), "image/png", "too many pixels: up to 25"),
    "21 MB": (picture() + bytes(21 * 1024 * 1024), "image/jpeg", "larger than 20 MB"),
    "tiny": (picture(120, 90), "image/jpeg", "too small: 120×90"),
    "a strip": (picture(2000, 310), "image/jpeg", "too long and narrow"),
    "cut off": (picture()[:3000], "image/jpeg", "damaged"),
    "an animation": (animation(), "image/webp", "This is an animation"),
    "a GIF": (picture(format_name="GIF"), "image/gif", "cannot read GIF"),
    "an iPhone's HEIC": (b"\0\0\0\x18ftypheic" + bytes(500), "image/heic", "cannot read HEIC"),
}


@pytest.mark.parametrize("name", FILES)
async def test_files_that_are_no_usable_photo(visitor: Visitor, name: str) -> None:
    data, mime, answer = FILES[name]
    await visitor.enter()
    await visitor.press(CREATE)
    await visitor.hears("Send a photo")
    await visitor.send(("picture.jpg", data, mime), kind="document")
    await visitor.hears(answer)
    await go_on(visitor)


async def test_more_photos_than_a_person_may_have_within_a_day(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await visitor.press(CREATE)
    await visitor.hears("Send a photo")
    full = (
        "INSERT INTO blobs (blob, account, size_bytes) "
        "SELECT 'photos/full.jpg', account, 200000000 FROM accounts WHERE telegram_id = $1"
    )
    await world.rows(full, visitor.chat.user_id)
    await visitor.photo()
    await visitor.hears("more photos than I can keep for one day")
    await world.rows("DELETE FROM blobs")
    await go_on(visitor)


FILE = {"file_id": "f", "file_unique_id": "u"}
STICKER = {"type": "regular", "width": 1, "height": 1, "is_animated": False, "is_video": False}
UNUSUAL: tuple[dict[str, Any], ...] = (
    {"voice": FILE | {"duration": 3}},
    {"sticker": FILE | STICKER},
    {"contact": {"phone_number": "1", "first_name": "B"}},
    {"dice": {"emoji": "🎲", "value": 3}},
)


async def test_files_of_other_kinds_instead_of_a_photo(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.press(CREATE)
    await visitor.hears("Send a photo")
    await visitor.send(("clip.mp4", b"\0\0\0\x18ftypmp42" + bytes(2000), "video/mp4"), kind="video")
    await visitor.hears("This is a video")
    await visitor.send(("list.pdf", b"%PDF-1.7 " + bytes(100), "application/pdf"), kind="document")
    await visitor.hears("did not understand")
    await visitor.sends(500_000, *UNUSUAL)
    await visitor.hears(r"(did not understand[\s\S]*){4}")
    await visitor.say("here it is")
    await visitor.hears("did not understand")
    await go_on(visitor)


async def test_texts_that_are_no_description(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.to_product()
    for text in ("🎉🎉🎉", "\u200b\u2060 \u3164", "... !!!"):
        await visitor.say(text)
        await visitor.hears("see no words")
    await visitor.say("x" * 1501)
    await visitor.hears("1501 characters, up to 1500")
    await visitor.say("y" * 10_000)
    await visitor.hears(r"too long: 4096[\s\S]*too long: 4096[\s\S]*too long: 1808")
    await visitor.say("z" * 4096 + " and a short end")
    await visitor.hears(r"too long: 4096[\s\S]*end of a text that was too long")
    await visitor.sends(600_000, {"text": "a lone half \ud83d and a NUL \x00 in a mug"})
    await visitor.sees(STYLES)
    assert await visitor.books() == NOTHING


async def test_emoji_and_right_to_left_text_are_fine_and_cleaned(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await visitor.to_product()
    await visitor.say("ספל אדום \u202e 👩\u200d👩\u200d👧 <script>&\u0007")
    await visitor.pick("style", "own")
    await visitor.hears("Write your prompt")
    await visitor.say("כוס \u2067 <b>")
    words = await visitor.hears("Prompt: ")
    assert "Product: ספל אדום 👩\u200d👩\u200d👧 <script>&\n" in words and "Prompt: כוס <b>" in words
    await visitor.press(ORDER)
    assert await visitor.books() == Books(1, 1, 1)


async def test_an_album_counts_as_its_first_photo_and_that_is_said_once(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.send(*[(f"{n}.jpg", picture(640, 480 + n), "image/jpeg") for n in range(4)])
    await visitor.hears("taken the first of the album")
    await visitor.say("A red mug")
    await visitor.sees(STYLES)
    said = "\n".join(m.get("text") or m.get("caption", "") for m in visitor.chat.messages)
    assert said.count("taken the first of the album") == 1
    assert sum("photo" in m for m in visitor.chat.from_bot()) == 1


async def test_a_photo_a_video_and_words_where_a_button_is_expected(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.to_style()
    await visitor.photo(picture(800, 600))
    await visitor.press("card|photo|yes")
    await visitor.hears("the new photo instead of the old")
    await visitor.send(("clip.mp4", b"\0\0\0\x18ftypmp42" + bytes(2000), "video/mp4"), kind="video")
    await visitor.hears("This is a video")
    await visitor.say("three, please")
    await visitor.press("card|words|no")
    await visitor.hears("stays as it is")
    await visitor.say("yes")
    await visitor.hears("Choose a style")
    assert await visitor.books() == NOTHING, "yes to what is not complete asks for what is missing"


async def test_someone_elses_buttons(visitor: Visitor, other_visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await other_visitor.enter()
    confirm = await visitor.to_confirm()
    draft = Order.unpack(confirm.data).draft
    foreign_chat = await other_visitor.http.post(
        f"{world.sandbox_url}/chat/{other_visitor.chat.user_id}/tap",
        json={
            "message_id": confirm.message_id,
            "data": confirm.data,
            "chat_id": visitor.chat.user_id,
            "wait": 10,
        },
    )
    assert foreign_chat.json()["answer"]["text"] == "Это не ваша кнопка."
    own_message = other_visitor.chat.from_bot()[-1]["message_id"]
    for data in (
        confirm.data,
        CardButton(do="cancel", value="", draft=draft, version=2).pack(),
        Again(draft=draft).pack(),
    ):
        assert await other_visitor.tap(type(confirm)(own_message, "", data)) == "Это не ваша кнопка."
    assert await other_visitor.books() == NOTHING
    assert await visitor.books() == NOTHING
    await visitor.tap(confirm)
    assert await visitor.books() == Books(1, 1, 1)


async def test_buttons_nobody_ever_made(visitor: Visitor) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    for data in (
        "nonsense",
        "order:",
        "order:" + "f" * 24 + ":1",
        confirm.data.rpartition(":")[0] + ":x",
        confirm.data.replace("order:", "card|style|evil|").replace(":", "|"),
        confirm.data.replace("order:", "card|number|-3|").replace(":", "|"),
        confirm.data.replace("order:", "card|evil|1|").replace(":", "|"),
        "menu:x",
    ):
        assert await visitor.tap(type(confirm)(confirm.message_id, "", data))
    assert await visitor.books() == NOTHING


async def test_a_person_who_blocks_the_bot_is_no_failure(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await visitor.chat.say("/menu")
    await visitor.http.post(f"{world.sandbox_url}/chat/{visitor.chat.user_id}/block")
    parked = await world.parked()
    await visitor.http.post(f"{world.sandbox_url}/chat/{visitor.chat.user_id}/unblock")
    await visitor.say("/menu")
    await visitor.sees(CREATE)
    assert await world.parked() == parked


async def test_telegram_stumbling_costs_nothing(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await visitor.press(CREATE)
    await visitor.hears("Send a photo")
    chat = {"chat": str(visitor.chat.user_id)}
    await world.fault(visitor.http, api="telegram", call="getFile", fault="html_502")
    await world.fault(visitor.http, api="telegram", call="file", fault="drop_before")
    for fault in ("500", "html_502", "drop_before"):
        await world.fault(visitor.http, api="telegram", call="sendMessage", fault=fault, match=chat)
    await world.fault(
        visitor.http,
        api="telegram",
        call="sendMessage",
        fault="429",
        match=chat,
        args={"retry_after": 1},
        after=3,
    )
    await go_on(visitor)
