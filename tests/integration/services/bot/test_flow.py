"""The way from /start to an order, and everything around it, against the sandboxed Telegram."""

from typing import Any

import pytest

from services.adapters.telegram.callback_data import (
    Again,
    Cabinet,
    ChooseLanguage,
    Menu,
    MenuAction,
    Order,
    TopUp,
)
from tests.integration.services.bot.people import (
    CREATE,
    ORDER,
    STYLES,
    TERMS,
    Books,
    BotWorld,
    Visitor,
    picture,
)
from tests.support.waiting import eventually

CANCEL = "card|cancel|"


async def test_from_start_to_an_order(visitor: Visitor) -> None:
    """Two messages of an order: the card, and later the video."""
    await visitor.say("/start")
    assert "2 credits" in await visitor.hears("you accept the terms")
    await visitor.press(TERMS)
    assert "You have 2 credits" in await visitor.hears("Welcome")
    before = len(visitor.chat.from_bot())
    await visitor.photo(caption="A red mug <b>& more</b>")
    await visitor.press(STYLES)
    await visitor.press("card|style|commercial|")
    await visitor.press("card|view|wishes|")
    await visitor.hears("Any wishes")
    await visitor.say("on a windowsill")
    words = await visitor.hears("on a windowsill")
    assert "A red mug <b>& more</b>" in words and "Product commercial" in words
    assert "Price: 1 credit" in words and "balance: 2 credits" in words
    confirm = await visitor.sees(ORDER)
    assert "photo" in visitor.message(confirm.message_id)
    assert await visitor.books() == Books(2, 0, 0)
    assert await visitor.tap(confirm) == "✅ Accepted: 1 video, 1 credit charged."
    assert await visitor.books() == Books(1, 1, 1)
    await visitor.hears("in the queue")
    assert visitor.buttons(confirm.message_id) == []
    assert len(visitor.chat.from_bot()) == before + 1, "one card, edited in place"


async def test_telegram_lists_the_commands_in_the_language_that_is_spoken(visitor: Visitor) -> None:
    async def profile() -> dict[str, Any]:
        url = f"{visitor.world.sandbox_url}/chat/{visitor.chat.user_id}/profile"
        return dict((await visitor.http.get(url)).json())

    await visitor.enter()
    shown = await profile()
    assert shown["description"].startswith("Promo videos")
    assert shown["commands"][0]["description"] == "Create a video"
    await visitor.say("/language")
    await visitor.press(ChooseLanguage(locale="ru").pack())
    await visitor.hears("по-русски")

    async def russian() -> bool:
        return bool((await profile())["commands"][0]["description"] == "Создать видео")

    await eventually(russian, what="commands in Russian")


async def test_three_taps_from_a_photo_with_a_caption(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.photo(caption="A blue vase")
    await visitor.press(STYLES)
    await visitor.press("card|style|unboxing|")
    assert await visitor.press(ORDER) == "✅ Accepted: 1 video, 1 credit charged."
    assert await visitor.books() == Books(1, 1, 1)


async def test_the_draft_knows_its_message_and_the_order_its_draft(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    await visitor.tap(confirm)
    draft = Order.unpack(confirm.data).draft
    row = (await world.rows("SELECT * FROM drafts WHERE draft = $1", draft))[0]
    assert (row["message_id"], row["chat_id"]) == (confirm.message_id, visitor.chat.user_id)
    assert row["ordered"] and row["style"] == "ugc"
    queued = await world.rows(
        "SELECT data ->> 'order' AS o, data ->> 'locale' AS l, stream FROM events"
        " WHERE type = 'JobQueued' AND data ->> 'order' = $1",
        draft,
    )
    assert [(q["o"], q["l"], q["stream"]) for q in queued] == [(draft, "en", f"job-{row['jobs'][0]}")]


async def test_the_whole_way_in_russian(other_visitor: Visitor) -> None:
    visitor = other_visitor
    await visitor.say("/start")
    assert "2 кредита" in await visitor.hears("вы принимаете условия")
    await visitor.press(TERMS)
    assert "У вас 2 кредита" in await visitor.hears("Добро пожаловать")
    await visitor.to_product()
    await visitor.say("Кружка ручной работы")
    await visitor.press(STYLES)
    await visitor.press("card|style|own|")
    await visitor.hears("Напишите свой промпт")
    await visitor.say("Кружка летит над Москвой")
    assert "Промпт: Кружка летит над Москвой" in await visitor.hears("Новое видео")
    await visitor.sees(ORDER)
    await visitor.say("да")
    await visitor.hears("в очереди")
    assert await visitor.books() == Books(1, 1, 1)


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
async def test_an_image_sent_as_a_file(visitor: Visitor, format_name: str) -> None:
    await visitor.enter()
    name = f"shot.{format_name.lower()}"
    await visitor.send(
        (name, picture(format_name=format_name), f"image/{format_name.lower()}"), kind="document"
    )
    await visitor.hears("describe the product")


async def test_too_few_credits_are_said_and_fewer_videos_can_be_chosen(visitor: Visitor) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm(5)
    assert await visitor.tap(confirm) == "Not enough credits."
    assert "5 credits needed, 3 credits missing" in await visitor.hears("Not enough credits")
    await visitor.sees(TopUp.__prefix__)
    await visitor.pick("number", "1")
    await visitor.press(ORDER)
    assert await visitor.books() == Books(1, 1, 1)


async def test_cancel_charges_nothing_and_the_old_button_says_so(visitor: Visitor) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    await visitor.press(CANCEL)
    await visitor.hears("cancelled. Nothing was charged")
    assert "no longer there" in await visitor.tap(confirm)
    assert await visitor.books() == Books(2, 0, 0)


async def test_an_order_cannot_be_cancelled_or_changed_afterwards(visitor: Visitor) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    cancel, change = await visitor.sees(CANCEL), await visitor.sees(STYLES)
    await visitor.tap(confirm)
    for late in (cancel, change):
        assert "placed already" in await visitor.tap(late)
    assert await visitor.books() == Books(1, 1, 1)


async def test_changing_the_order_before_it_is_placed(visitor: Visitor) -> None:
    await visitor.enter()
    first = await visitor.to_confirm()
    await visitor.pick("style", "commercial")
    await visitor.pick("format", "1:1")
    await visitor.pick("seconds", "10")
    words = await visitor.hears("Product commercial")
    assert "1:1 square · 10 s" in words and "Price: 2 credits" in words
    second = await visitor.sees(ORDER)
    assert "changed since" in await visitor.tap(first)
    await visitor.tap(second)
    assert await visitor.books() == Books(0, 1, 1)


async def test_again_with_the_same_product(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm()
    await visitor.tap(confirm)
    again = Again(draft=Order.unpack(confirm.data).draft).pack()
    await visitor.chat.look()
    await visitor.tap(type(confirm)(confirm.message_id, "again", again))
    assert "A red mug" in await visitor.hears("New video")
    await visitor.press(ORDER)
    assert await visitor.books() == Books(0, 2, 2)
    photos = await world.rows(
        "SELECT DISTINCT data ->> 'photo' FROM events JOIN accounts ON data ->> 'account' = account"
        " WHERE telegram_id = $1 AND type = 'JobQueued'",
        visitor.chat.user_id,
    )
    assert len(photos) == 1


async def test_the_cabinet_shows_balance_operations_and_videos(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.tap(await visitor.to_confirm())
    await visitor.say("/cabinet")
    words = await visitor.hears("My account")
    assert "Balance: 1 credit" in words
    assert "1 credit: welcome gift, no end" in words and "in the queue · UGC blogger" in words
    await visitor.press(Cabinet(section="operations").pack())
    words = await visitor.hears("Operations")
    assert "−1 credit · order: 1 video" in words and "+2 credits · welcome gift" in words


async def test_commands_in_the_middle_keep_the_place(visitor: Visitor) -> None:
    await visitor.enter()
    await visitor.to_product()
    cards = [m for m in visitor.chat.from_bot() if "photo" in m]
    for command, answer in [
        ("/help", "How it works"),
        ("/cabinet", "My account"),
        ("/support", "@neurocards_support"),
        ("/nonsense", "do not know this command"),
    ]:
        await visitor.say(command)
        await visitor.hears(answer)
        await visitor.hears("Your order waits here")
    await visitor.say("/menu")
    await visitor.press(Menu(action=MenuAction.RESUME).pack())
    await visitor.hears("Your order waits here")
    await visitor.say("/language")
    await visitor.press(ChooseLanguage(locale="ru").pack())
    await visitor.hears("Теперь говорим по-русски")
    await visitor.hears("опишите товар")
    await visitor.say("Кружка")
    await visitor.hears("Выбрать стиль|Товар: Кружка")
    assert [m["message_id"] for m in visitor.chat.from_bot() if "photo" in m] == [
        m["message_id"] for m in cards
    ]
    await visitor.say("/cancel")
    await visitor.hears("отменён")
    await visitor.say("Кружка")
    await visitor.hears("Не совсем понимаю")


async def test_nothing_works_before_the_terms(visitor: Visitor) -> None:
    await visitor.say("hello")
    await visitor.hears("you accept the terms")
    terms = await visitor.sees(TERMS)
    await visitor.photo()
    await visitor.hears("you accept the terms")
    assert await visitor.tap(type(terms)(terms.message_id, "", CREATE)) == "Please accept the terms first."
    await visitor.tap(terms)
    await visitor.hears("Welcome")
    await visitor.hears("describe the product")
    assert await visitor.books() == Books(2, 0, 0)
