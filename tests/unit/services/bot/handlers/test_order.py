"""An order in the making: what photos, texts and edited messages do to it."""

from typing import Any

import pytest
from aiogram.methods import EditMessageMedia, EditMessageText, SendMessage, SendPhoto
from msgspec.structs import replace

from services.accounts.personal_data import Brief
from services.adapters.telegram import callback_data as b
from services.adapters.telegram.callback_data import CardButton, MenuAction
from services.bot.chat_state import ChatData, save_data
from services.bot.context import TERMS_VERSION
from tests.integration.services.bot.people import picture
from tests.support.bot_session import memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_all import CHAT, CREATE, DRAFT, USER
from tests.unit.services.bot.handlers.test_card import CARD, STALE, Person, data_of


@pytest.fixture
def person() -> Person:
    return Person(memory_shop())


# A photo begins, and three taps order.


async def test_a_photo_with_a_caption_is_three_taps_from_an_order(person: Person) -> None:
    await person.accepted()
    await person.photo(21, caption="a red mug")
    (draft,) = person.drafts.values()
    (sent,) = person.session.of(SendPhoto)
    assert (sent.photo, draft.words, draft.message_id) == ("f9", Brief("a red mug"), 1000)
    styles, *_ = data_of(sent.reply_markup)
    assert styles.startswith("card|view|styles|") and not any(
        d.startswith("order:") for d in data_of(sent.reply_markup)
    )
    await person.tap(styles, message_id=1000)
    assert "1 of 8" in person.captions[-1] and "UGC blogger" in person.captions[-1]
    await person.tap(
        CardButton(do="style", value="unboxing", draft=draft.draft, version=1).pack(), message_id=1000
    )
    assert "Style: Unboxing" in person.captions[-1] and "1 credit" in person.captions[-1]
    said = await person.tap(b.Order(draft=draft.draft, version=2).pack(), message_id=1000)
    assert said == "✅ Accepted: 1 video, 1 credit charged."
    assert len(person.session.of(SendPhoto)) == 1 and person.said == [], "one message in all"
    order = person.orders[0]
    assert (order.style, order.format, order.seconds, len(order.jobs)) == ("unboxing", "9:16", 5, 1)
    assert person.shop.takes_orders(person.shop.maker("unboxing"))


async def test_what_was_ordered_last_is_the_default_of_the_next(person: Person) -> None:
    await person.making(style="macro", format="1:1", seconds=10, number=2, ordered=True, confirmed=True)
    await person.photo(21, caption="a vase")
    draft = next(d for d in person.drafts.values() if not d.ordered)
    assert (draft.style, draft.format, draft.seconds, draft.number, draft.price) == ("macro", "1:1", 10, 1, 2)


async def test_a_wide_photo_suggests_a_wide_video(person: Person) -> None:
    await person.accepted()
    person.session.chunks = [picture(900, 600)]
    sizes = [{"file_id": "f9", "file_unique_id": "u", "width": 900, "height": 600}]
    await person.feed(message={"message_id": 3, "date": 1, "chat": CHAT, "from": USER, "photo": sizes})
    assert [draft.format for draft in person.drafts.values()] == ["16:9"]


async def test_the_same_photo_once_more_sends_no_second_card(person: Person) -> None:
    await person.accepted()
    await person.photo(21, caption="a red mug")
    await person.photo(21, caption="a red mug")
    assert len(person.session.of(SendPhoto)) == 1 and len(person.drafts) == 1 and person.said == []


async def test_the_rest_of_an_album_is_left_aside_and_said_once(person: Person) -> None:
    await person.accepted()
    for number in (21, 22, 23):
        await person.photo(number, media_group_id="g")
    assert len(person.drafts) == 1 and len(person.said) == 1 and "One photo per order" in person.said[0]


async def test_a_second_photo_replaces_the_first_only_when_told(person: Person) -> None:
    await person.making()
    await person.photo(33, caption="a blue vase")
    assert "Shall this photo and its words replace" in person.said[-1] and person.draft.photo == DRAFT.photo
    await person.press("photo", "no33", message_id=1000)
    assert person.draft.photo == DRAFT.photo and person.draft.offered is None
    await person.photo(34, caption="a blue vase")
    await person.press("photo", "yes33", message_id=1000)
    assert person.draft.photo == DRAFT.photo, "that one was answered"
    await person.press("photo", "yes34", message_id=1001)
    assert person.draft.photo != DRAFT.photo and person.draft.words == Brief("a blue vase")
    assert person.session.of(EditMessageMedia)[-1].message_id == CARD
    assert person.session.of(EditMessageText)[-1].reply_markup is None, "the question has no buttons any more"


# Texts.


@each(
    ("text", "does"),
    [
        ("Распаковка!", "style"),
        ("  «before and after» ", "style"),
        ("да", "order"),
        ("OK!", "order"),
        ("сколько стоит?", "question"),
        ("Where is my video?", "question"),
        ("how long does it take?", "question"),
        ("which formats are there?", "question"),
        ("a green mug with a lid", "offer"),
        ("да, зелёная кружка", "offer"),
        ("цена", "offer"),
        ("?!", "nothing"),
    ],
)
async def test_what_a_text_means_while_a_tap_is_waited_for(text: str, does: str) -> None:
    person = Person(memory_shop())
    before = await person.making()
    await person.say(text)
    happened = {
        "style": person.draft.style in ("unboxing", "before_after"),
        "order": len(person.orders) == 1,
        "offer": person.draft.offered is not None and "Replace the description" in person.said[-1],
        "question": len(person.said) == 2 and "Your order waits here" in person.said[-1],
    }
    assert [name for name, so in happened.items() if so] == ([does] if does != "nothing" else [])
    assert person.draft.words == before.words, "nothing is taken silently"


async def test_yes_is_no_order_while_the_card_asks_something_or_shows_an_older_version(
    person: Person,
) -> None:
    for draft in ({"view": "styles"}, {"shown": 2}, {"style": ""}, {"words": Brief("")}):
        await person.making(**draft)
        await person.say("да")
        assert person.orders == []


@each(
    ("answer", "words"),
    [
        ("product", Brief("a green mug", "steam")),
        ("wishes", Brief("mug", "a green mug")),
        ("no", Brief("mug", "steam")),
    ],
)
async def test_a_text_that_was_asked_about(answer: str, words: Brief) -> None:
    person = Person(memory_shop())
    await person.making(words=Brief("mug", "steam"))
    await person.say("a green mug")
    offered = person.draft.offered
    message = offered.message if offered else 0
    await person.press("words", f"{answer}{message}", message_id=1000)
    assert (person.draft.words, person.draft.offered) == (words, None)
    assert data_of(person.session.of(EditMessageText)[-1].reply_markup) == []
    assert STALE in await person.press("words", f"product{message}", message_id=1000), "it was answered"
    assert person.draft.words == words


@each(("view", "words"), [("product", Brief("a blue cup", "steam")), ("wishes", Brief("mug", "a blue cup"))])
async def test_words_that_are_waited_for_are_taken(view: Any, words: Brief) -> None:
    person = Person(memory_shop())
    await person.making(words=Brief("mug", "steam"), view=view)
    await person.say("a blue cup")
    assert (person.draft.words, person.draft.view) == (words, "")
    version = person.draft.version
    person._update_id -= 1
    await person.say("a blue cup")
    assert person.draft.version == version, "the same message once more"


async def test_a_number_may_be_written(person: Person) -> None:
    await person.making(view="numbers")
    await person.say("7")
    assert person.draft.number == 7
    await person.press("view", "numbers")
    await person.say("2000")
    assert person.draft.number == 7 and "From 1 to 20" in person.said[-1]


async def test_an_own_prompt_has_to_be_written(person: Person) -> None:
    await person.making()
    await person.press("style", "own")
    assert "Write your prompt" in person.captions[-1]
    await person.say("the mug flies over Moscow")
    assert "Prompt: the mug flies" in person.captions[-1]
    assert "charged" in await person.tap(b.Order(draft="d1", version=person.draft.version).pack())


@pytest.mark.parametrize("part", ["product", "wishes"])
async def test_an_edited_message_changes_what_it_said(person: Person, part: str) -> None:
    await person.making(words=Brief("mug", "steam"), product_message=21, wishes_message=22)
    await person.edit({"product": 21, "wishes": 22}[part], "a green mug")
    assert getattr(person.draft.words, part) == "a green mug" and "a green mug" in person.captions[-1]
    await person.edit({"product": 21, "wishes": 22}[part], "x" * 2000)
    assert "too long" in person.said[-1] and getattr(person.draft.words, part) == "a green mug"


async def test_an_edit_of_a_placed_order_is_told_and_changes_nothing(person: Person) -> None:
    await person.making(product_message=21)
    await person.tap(CREATE)
    edits = len(person.captions)
    await person.edit(21, "a green mug")
    assert "placed already" in person.said[-1] and person.draft.words == Brief("mug")
    ways = data_of(person.session.of(SendMessage)[-1].reply_markup)
    assert ways == [b.Menu(action=MenuAction.CREATE).pack(), b.Menu(action=MenuAction.HOME).pack()]
    assert len(person.captions) == edits
    await person.drafted(replace(person.draft, draft="d2"))  # once more with the same words
    told = len(person.said)
    await person.edit(21, "a green mug")
    assert len(person.said) == told + 1


@pytest.mark.parametrize(("message_id", "text"), [(21, "mug"), (99, "something else")])
async def test_edits_that_change_nothing_are_not_answered(person: Person, message_id: int, text: str) -> None:
    await person.making(product_message=21)
    await person.edit(message_id, text)
    assert person.session.calls == []


async def test_a_command_gets_its_answer_and_one_line_that_leads_back(person: Person) -> None:
    await person.making()
    for command in ("/help", "/cabinet", "/support", "/nonsense"):
        before = len(person.said)
        await person.say(command)
        assert len(person.said) == before + 2 and "Your order waits here" in person.said[-1]
    assert person.captions == [], "the card is not posted again"


# In an order nobody planned.


async def test_a_caption_that_is_too_long_is_not_lost_in_silence(person: Person) -> None:
    await person.accepted()
    await person.photo(21, caption="x" * 1501)
    assert "too long" in person.said[-1] and "describe the product" in person.captions[-1]
    await person.photo(22, caption="x" * 1501)
    assert "photo replace the one" in person.said[-2] and "too long" in person.said[-1]


async def test_a_caption_that_is_added_afterwards_is_the_description(person: Person) -> None:
    await person.accepted()
    await person.photo(21)
    await person.edit(21, "")
    assert person.said == [], "an edit that says nothing"
    await person.edit(21, "a red mug")
    assert [draft.words for draft in person.drafts.values()] == [Brief("a red mug")]


async def test_an_album_beside_an_order_is_asked_about_once(person: Person) -> None:
    await person.making()
    for number in (31, 32, 33):
        await person.photo(number, media_group_id="g")
    assert len(person.said) == 1
    await person.press("photo", "yes31", message_id=1000)
    assert person.draft.photo_message == 31


@each(
    ("text", "does"),
    [
        ("Распаковка", "style"),
        ("да", "nothing"),
        ("Кружка с вопросом «зачем?»", "words"),
        ("Кружка, цена 500 рублей, зачем платить больше?", "offer"),
        ("сколько стоит?", "offer"),
        ("?", "nothing"),
    ],
)
async def test_what_a_text_means_while_the_description_is_waited_for(text: str, does: str) -> None:
    person = Person(memory_shop())
    await person.making(words=Brief(""), style="")
    await person.say(text)
    draft = person.draft
    happened = {
        "style": draft.style == "unboxing",
        "words": draft.words == Brief(text),
        "offer": draft.offered is not None and f"Take «{text}» as the description?" in person.said[-1],
    }
    assert [name for name, so in happened.items() if so] == ([does] if does != "nothing" else [])
    assert person.said or person.captions, "something is answered"


async def test_a_styles_name_may_be_a_wish(person: Person) -> None:
    await person.making(view="wishes")
    await person.say("in hands")
    assert (person.draft.words, person.draft.style) == (Brief("mug", "in hands"), "ugc")


async def test_yes_that_is_refused_is_led_to_what_the_card_says(person: Person) -> None:
    await person.making(number=20)
    await person.say("да")
    assert "Not enough credits" in person.captions[-1] and "Your order waits here" in person.said[-1]


# Killed in between: the update comes again.


async def test_a_yes_that_ordered_is_no_riddle_when_it_comes_again(person: Person) -> None:
    await person.making()
    await person.say("да")
    person._update_id -= 1
    await person.say("да")
    assert len(person.orders) == 1 and person.said == []
    await person.say("да")
    assert "did not understand" in person.said[-1]


async def test_a_number_that_comes_again_is_no_description(person: Person) -> None:
    await person.making(view="numbers")
    for _time in range(2):
        await person.say("7")
        person._update_id -= 1
    assert person.draft.number == 7 and person.said == [] and person.draft.version == 4


async def test_an_edit_and_a_photo_that_come_again_are_shown(person: Person) -> None:
    await person.making(product_message=21)
    for _time in range(2):
        await person.edit(21, "a green mug")
        person._update_id -= 1
    assert [("green" in caption) for caption in person.captions] == [True, True]
    person._update_id += 2
    await person.photo(33)
    for _time in range(2):
        await person.press("photo", "yes33", message_id=1001)
        person._update_id -= 1
        person.restart()
    assert len(person.session.of(EditMessageMedia)) == 2, "the new photo, not only its words"


async def test_an_order_whose_card_was_never_sent_is_shown_when_asked_for(person: Person) -> None:
    for asked in ("resume", "create"):
        await person.making(message_id=None, shown=0)
        await person.tap(b.Menu(action=MenuAction(asked)).pack(), message_id=7)
        assert len(person.session.of(SendPhoto)) == 1 and person.draft.shown == 3
        person = Person(memory_shop())


async def test_a_photo_that_waited_for_new_terms_is_asked_about(person: Person) -> None:
    await person.making()
    early = {"message_id": 21, "date": 1, "chat": CHAT, "from": USER}
    early["photo"] = [{"file_id": "f9", "file_unique_id": "u", "width": 400, "height": 600}]
    await save_data(person.context, ChatData(early=early))
    await person.tap(b.AcceptTerms(version=TERMS_VERSION).pack())
    assert "Shall this photo replace" in person.said[-1]
    assert await person.context.get_data() == {}


# What is sold has changed meanwhile.


async def test_a_style_that_is_not_on_offer_any_more_has_to_be_chosen_anew(person: Person) -> None:
    await person.making(style="gone")
    await person.tap(CREATE)
    assert person.orders == [] and "Choose a style" in person.captions[-1]
    await person.press("view", "")
    assert "gone" not in person.captions[-1]
    again = replace(person.draft, draft="d0", ordered=True, confirmed=True, style="gone")
    person.drafts.clear()
    await person.drafted(again)
    await person.tap(b.Again(draft="d0").pack())
    assert "gone" not in person.captions[-1] and "mug" in person.captions[-1]


@each("sold", [{"format": "4:3"}, {"seconds": 7, "price": 1}, {"model": "kling-2.6/image-to-video"}])
async def test_what_would_come_out_otherwise_is_shown_before_it_is_charged(sold: dict[str, Any]) -> None:
    person = Person(memory_shop())
    await person.making(**sold)
    said = await person.tap(CREATE)
    assert "changed since" in said and person.orders == [] and "9:16 vertical · 5 s" in person.captions[-1]
    assert "charged" in await person.tap(b.Order(draft="d1", version=4).pack())


async def test_the_order_names_who_makes_it_now(person: Person) -> None:
    await person.making(model="bytedance/seedance-1.5-pro")
    await person.tap(CREATE)
    assert [order.model for order in person.orders] == ["bytedance/seedance-2-fast"]
