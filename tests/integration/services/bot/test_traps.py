"""The chat's traps, against the sandboxed Telegram and in both languages."""

import pytest

from services.adapters.telegram.callback_data import AcceptTerms
from services.rehearsal.seller import Product, Seller
from tests.integration.services.bot.people import CREATE, ORDER, STYLES, TERMS, Books, Visitor, picture

DROP = "card|cancel|"


async def edit(visitor: Visitor, text: str) -> None:
    """Edit the last text that the person wrote."""
    await visitor.chat.look()
    visitor._mark = visitor.chat.seen
    said = next(
        m
        for m in reversed(visitor.chat.messages)
        if not m["from"]["is_bot"] and ("text" in m or "caption" in m)
    )
    reply = await visitor.http.post(
        f"{visitor.world.sandbox_url}/chat/{visitor.chat.user_id}/edit",
        json={"message_id": said["message_id"], "text": text},
    )
    assert reply.status_code == 200, reply.text


async def words_of_orders(visitor: Visitor) -> list[str]:
    rows = await visitor.world.rows(
        "SELECT body ->> 'product' FROM events e JOIN accounts a ON e.data ->> 'account' = a.account"
        " JOIN texts ON ref = e.data ->> 'brief' WHERE telegram_id = $1 AND type = 'JobQueued'",
        visitor.chat.user_id,
    )
    return [row[0] for row in rows]


async def test_buttons_of_an_earlier_order_leave_this_one_alone(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.to_style()
    stale_style, stale_cancel = await visitor.sees(STYLES), await visitor.sees(DROP)
    await visitor.tap(stale_cancel)
    await visitor.hears("cancelled")
    await visitor.to_style()
    for stale in (stale_style, stale_cancel):
        assert "no longer there" in await visitor.tap(stale)
    await visitor.say("/menu")
    await visitor.press(CREATE)
    await visitor.hears("making an order already")
    await visitor.press(DROP)
    await visitor.press(CREATE)
    await visitor.hears("Send a photo")


async def test_buttons_of_an_earlier_order_in_russian(other_visitor: Visitor) -> None:
    visitor = other_visitor
    await visitor.enter()
    await visitor.to_style()
    stale = await visitor.sees(DROP)
    await visitor.tap(stale)
    await visitor.hears("отменён")
    await visitor.to_style()
    assert "больше нет" in await visitor.tap(stale)
    await visitor.say("/create")
    await visitor.hears("Вы уже собираете заказ")


@pytest.mark.parametrize(
    ("who", "question", "taken"),
    [
        ("en", "Replace the description with «A blue mug»", "taken the new words"),
        ("ru", "Заменить описание на «A blue mug»", "Беру новый текст"),
    ],
)
async def test_a_text_at_the_style_is_no_description_before_it_is_said_so(
    visitor: Visitor, other_visitor: Visitor, who: str, question: str, taken: str
) -> None:
    visitor = visitor if who == "en" else other_visitor
    await visitor.enter()
    await visitor.to_style()
    await visitor.say("A blue mug")
    await visitor.hears(question)
    await visitor.press("card|words|product")
    await visitor.hears(taken)
    await visitor.say("Unboxing" if who == "en" else "распаковка!")
    await visitor.press(ORDER)
    assert await words_of_orders(visitor) == ["A blue mug"]


@pytest.mark.parametrize(
    ("who", "kept", "asked"),
    [
        ("en", "What you have sent is kept", "describe the product"),
        ("ru", "То, что вы прислали, сохранено", "опишите товар"),
    ],
)
async def test_a_photo_before_the_terms_is_used_after_them(
    visitor: Visitor, other_visitor: Visitor, who: str, kept: str, asked: str
) -> None:
    visitor = visitor if who == "en" else other_visitor
    album = [(f"{n}.jpg", picture(640, 480 + n), "image/jpeg") for n in range(3)]
    await visitor.send(*album)
    await visitor.hears(kept)
    await visitor.press(TERMS)
    await visitor.hears(asked)
    await visitor.say("A red mug")
    await visitor.pick("style", "ugc")
    await visitor.press(ORDER)
    assert await visitor.books() == Books(1, 1, 1)
    terms = [m for m in visitor.chat.from_bot() if kept in m.get("text", "")]
    assert len(terms) == 0, "the welcome came in place of the only one"


async def test_five_taps_on_accept_are_one_welcome(visitor: Visitor) -> None:
    await visitor.say("/start")
    terms = await visitor.sees(AcceptTerms.__prefix__)
    assert await visitor.tap_at_once(terms, 5) == [""] * 5
    await visitor.hears("Welcome")
    assert len(visitor.chat.from_bot()) == 1
    assert await visitor.books() == Books(2, 0, 0)


@pytest.mark.parametrize(
    ("who", "taken", "placed"),
    [
        ("en", "taken the changed words", "is placed already"),
        ("ru", "Исправления приняты", "уже оформлен"),
    ],
)
async def test_an_edited_description_changes_the_order_until_it_is_paid_for(
    visitor: Visitor, other_visitor: Visitor, who: str, taken: str, placed: str
) -> None:
    visitor = visitor if who == "en" else other_visitor
    await visitor.enter()
    confirm = await visitor.to_confirm()
    await edit(visitor, "A blue mug")
    await visitor.hears(taken)
    assert "A blue mug" in visitor.message(confirm.message_id)["caption"]
    await visitor.press(ORDER)
    await visitor.hears("queue|очереди")
    await edit(visitor, "A green mug")
    await visitor.hears(placed)
    assert await words_of_orders(visitor) == ["A blue mug"]


async def test_the_demos_seller_begins_anew_where_an_order_stands_in_the_way(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.to_style()
    confirm = await Seller(visitor.chat).draft(Product("A green lamp", picture()))
    assert "A green lamp" in visitor.message(confirm.message_id)["caption"]
