"""The order card: what a tap does to it, and what changes nothing."""

from typing import Any, cast, get_args

import pytest
from aiogram.filters.callback_data import CallbackData
from aiogram.methods import (
    EditMessageCaption,
    EditMessageReplyMarkup,
    SendInvoice,
)
from aiogram.types import InlineKeyboardMarkup
from msgspec.structs import replace

from events.job import Video
from ledger import commands as c
from services.accounts.drafts import Draft, View
from services.accounts.personal_data import Brief
from services.adapters.telegram import callback_data as b
from services.adapters.telegram.callback_data import CardButton, MenuAction
from services.bot.chat_state import Awaiting, Buying, ChatData, save_data
from services.bot.context import TERMS_VERSION
from services.generation.prompts.styles import load_styles
from services.platform.blobs import one_chunk
from tests.integration.services.bot.people import picture
from tests.support.bot_session import memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_all import CHAT, CREATE, DRAFT, USER, Desk

STALE = "earlier step or order"
CARD = DRAFT.message_id or 0


class Person(Desk):
    """A desk with its one visitor and the order they are making."""

    @property
    def context(self) -> Any:
        return self.dispatcher.fsm.get_context(self.bot, 5, 5)

    @property
    def draft(self) -> Draft:
        return self.drafts["d1"]

    async def making(self, **draft: Any) -> Draft:
        """In the middle of an order."""
        await self.accepted()
        await self.shop.blobs.put(DRAFT.photo, one_chunk(b"jpg"), size_bytes_max=9)
        return await self.drafted(replace(DRAFT, **draft))

    async def press(self, do: Any, value: str = "", *, version: int | None = None, **tap: Any) -> str:
        """Tap a button of the card, as the newest version has it."""
        version = self.draft.version if version is None else version
        return await self.tap(CardButton(do=do, value=value, draft="d1", version=version).pack(), **tap)

    async def edit(self, message_id: int, text: str) -> None:
        message = {"message_id": message_id, "date": 1, "edit_date": 2, "chat": CHAT, "from": USER}
        await self.feed(edited_message=message | {"text": text})

    async def photo(self, message_id: int, **message: Any) -> None:
        self.session.chunks = [picture(400, 600)]
        sizes = [{"file_id": "f9", "file_unique_id": "u", "width": 400, "height": 600, "file_size": 9}]
        sent = {"message_id": message_id, "date": 1, "chat": CHAT, "from": USER, "photo": sizes}
        await self.feed(message=sent | message)


@pytest.fixture
def person() -> Person:
    return Person(memory_shop())


def data_of(markup: InlineKeyboardMarkup | None) -> list[str]:
    return [key.callback_data or "" for row in (markup.inline_keyboard if markup else []) for key in row]


CHOICES: list[tuple[Any, str, dict[str, Any]]] = [
    ("style", "macro", {"style": "macro"}),
    ("format", "16:9", {"format": "16:9"}),
    ("seconds", "10", {"seconds": 10, "price": 2}),
    ("number", "5", {"number": 5}),
    ("empty", "wishes", {"words": Brief("mug")}),
]


@each(("do", "value", "becomes"), CHOICES)
async def test_each_choice_is_on_the_card_and_raises_the_version(
    do: Any, value: str, becomes: dict[str, Any]
) -> None:
    person = Person(memory_shop())
    await person.making(words=Brief("mug", "steam"), view="styles")
    await person.press(do, value)
    assert {name: getattr(person.draft, name) for name in becomes} == becomes
    assert (person.draft.version, person.draft.shown, person.draft.view) == (4, 4, "")
    assert len(person.captions) == 1 and (await person.shop.drafts.find("d1")) is not None


@each(
    ("do", "value"),
    [("style", "none"), ("format", "4:3"), ("seconds", "7"), ("number", "9"), ("empty", "all")],
)
async def test_what_is_not_on_offer_changes_nothing(do: Any, value: str) -> None:
    person = Person(memory_shop())
    before = await person.making()
    assert STALE in await person.press(do, value)
    assert person.draft == before


async def test_a_style_keeps_the_wishes_and_every_view_leads_back(person: Person) -> None:
    await person.making(words=Brief("mug", "steam"))
    await person.press("style", "gift")
    assert person.draft.words == Brief("mug", "steam") and "steam" in person.captions[-1]
    for view in get_args(View)[1:]:
        await person.press("view", view)
        markup = person.session.of(EditMessageCaption)[-1].reply_markup
        assert any(data.startswith("card|view||") for data in data_of(markup)), view
        assert person.draft.version == 4, "looking changes nothing"
    await person.press("view", "")
    assert data_of(person.session.of(EditMessageCaption)[-1].reply_markup)[0] == "order:d1:4"


@each("button", [CardButton(do="style", value="gift", draft="d1", version=2), b.Order(draft="d1", version=2)])
async def test_a_button_of_an_earlier_version_changes_nothing_and_shows_the_newest(
    button: CallbackData,
) -> None:
    person = Person(memory_shop())
    before = await person.making()
    said = await person.tap(button.pack())
    assert STALE in said or "changed since" in said
    assert replace(person.draft, shown=3) == before and len(person.captions) == 1 and person.orders == []


async def test_a_card_that_was_sent_twice_loses_the_buttons_of_the_first(person: Person) -> None:
    before = await person.making()
    assert STALE in await person.press("style", "gift", message_id=39)
    assert person.draft == before and person.session.of(EditMessageReplyMarkup)[-1].message_id == 39


async def test_an_order_from_a_card_that_was_sent_twice_leaves_no_buttons_on_it(person: Person) -> None:
    for number, button in enumerate(
        (CREATE, CREATE, CardButton(do="view", value="", draft="d1", version=3).pack()), 1
    ):
        if number == 1:
            await person.making()
        await person.tap(button, message_id=39)
        gone = person.session.of(EditMessageReplyMarkup)
        assert [call.message_id for call in gone] == [39] * number and len(person.orders) == 1


async def test_the_same_tap_once_more_is_no_stale_one(person: Person) -> None:
    """Killed after the change: the update comes again, and its version is not the newest any more."""
    await person.making()
    await person.press("style", "gift")
    person._update_id -= 1
    person.restart()
    assert await person.press("style", "gift", version=3) == ""
    assert (person.draft.style, person.draft.version) == ("gift", 4) and len(person.captions) == 2


async def test_somebody_elses_card_and_one_that_is_gone(person: Person) -> None:
    await person.making(account="a6")
    assert "not yours" in await person.press("style", "gift")
    person.drafts.clear()
    assert "no longer there" in await person.tap(CREATE)


async def test_cancelling_drops_the_draft_and_its_buttons(person: Person) -> None:
    await person.making()
    await person.press("cancel")
    assert person.drafts == {} and "Nothing was charged" in person.said[-1]
    assert person.session.of(EditMessageReplyMarkup)[-1].message_id == CARD
    await person.say("/cancel")
    assert "nothing to cancel" in person.said[-1]


async def test_after_the_order_no_button_of_it_does_anything(person: Person) -> None:
    await person.making()
    await person.tap(CREATE)
    edits, drafts = len(person.captions), cast(Any, person.shop.drafts)
    for number, do in enumerate(("style", "cancel", "view", "words"), 1):
        assert "placed already" in await person.press(do, "gift")
        assert drafts.shown_again == ["d1"] * number, "an older edit came late: the notifier shows it again"
    assert len(person.captions) == edits and person.draft.style == "ugc" and len(person.orders) == 1


@pytest.mark.parametrize("begin", ["create", "command", "again"])
async def test_another_order_does_not_replace_the_one_being_made(person: Person, begin: str) -> None:
    before = await person.making()
    earlier = replace(DRAFT, draft="d0", ordered=True, confirmed=True)
    await person.drafted(earlier)
    match begin:
        case "create":
            await person.tap(b.Menu(action=MenuAction.CREATE).pack())
        case "command":
            await person.say("/create")
        case "again":
            await person.tap(b.Again(draft="d0").pack())
    assert "making an order already" in person.said[-1] and person.draft == before
    await person.press("cancel", message_id=1000)
    assert "d1" not in person.drafts
    await person.tap(b.Again(draft="d0").pack())
    copy = await person.shop.drafts.open("a5")
    assert copy is not None and (copy.words, copy.photo, copy.jobs) == (Brief("mug"), DRAFT.photo, ())


async def test_styles_are_looked_at_one_by_one_and_each_is_one_tap_away(person: Person) -> None:
    await person.making(style="unboxing")
    await person.press("view", "styles")
    names, seen = [*load_styles()], []
    for _turn in names:
        seen.append(person.captions[-1])
        keys = data_of(person.session.of(EditMessageCaption)[-1].reply_markup)
        assert {f"card|style|{name}|d1|3" for name in names} <= {*keys}, "three taps, whichever it is"
        before = len(person.session.calls)
        await person.tap(keys[2])
        edits = [call for call in person.session.calls[before:] if isinstance(call, EditMessageCaption)]
        assert len(edits) == 1, "one edit for a tap"
    assert "3 of 8" in seen[0] and "Unboxing" in seen[0], "the chosen one first"
    assert len({*seen}) == len(names) and person.captions[-1] == seen[0], "round and back"
    assert person.draft.version == 3, "looking changes nothing"
    await person.press("look", "gone")
    assert person.captions[-1] == seen[0]
    await person.press("look", "gift")
    await person.say("how much is it?")
    await person.press("style", person.draft.browsed)
    assert (person.draft.style, person.draft.view) == ("gift", "")


async def test_other_style_and_other_format_begin_with_the_question(person: Person) -> None:
    await person.making(ordered=True, confirmed=True)
    views: dict[b.AgainView, str] = {"styles": "Choose a style", "formats": "Which format?"}
    for view, asked in views.items():
        await person.tap(b.Again(draft="d1", view=view).pack())
        assert asked in person.captions[-1]
        made = await person.shop.drafts.open("a5")
        assert made is not None
        await person.shop.drafts.drop(made.draft)


async def test_a_video_is_rated_once_by_its_seller(person: Person) -> None:
    await person.making()
    await person.tap(CREATE)
    (job,), ledger = person.orders[0].jobs, person.shop.ledger

    async def rate(job: str, stars: int, **tap: Any) -> str:
        return await person.tap(b.Rate(job=job, stars=stars).pack(), **tap)

    no = "cannot be rated"
    assert no in await rate(job, 5), "there is no video yet"
    await ledger.execute(c.StartJob(job, 1, "w"), key="1")
    await ledger.execute(c.RecordPrompt(job, 1, "prompt", "openai", "t"), key="2")
    await ledger.execute(c.IntendSubmission(job, 1, 1, "k", "m"), key="3")
    await ledger.execute(c.SucceedJob(job, 1, 1, Video("v", "0" * 64, 9)), key="4")
    edits = len(person.captions)
    assert no in await rate(job, 9) and no in await rate("theirs", 5)
    assert "Thank you" in await rate(job, 5) and (await ledger.read.job(job)).stars == 5
    person.restart()
    assert "Thank you" in await rate(job, 5), "the same update once more"
    assert "already" in await rate(job, 1) and (await ledger.read.job(job)).stars == 5
    assert len(person.captions) == edits, "the card is the notifier's"


async def test_accepting_five_times_is_one_welcome_and_no_menu(person: Person) -> None:
    await person.say("/start")
    for _tap in range(5):
        await person.tap(b.AcceptTerms(version=TERMS_VERSION).pack())
    assert len(person.said) == 1, "the terms"


TAPPED = [
    *(b.Menu(action=action) for action in MenuAction),
    b.ChooseLanguage(locale="en"),
    b.TopUp(draft=""),
    b.Packages(draft=""),
    b.Buy(package="credits-5", draft=""),
    b.PayBy(provider="stars", package="credits-5", draft=""),
    b.BackToOrder(draft="d1"),
    b.Again(draft="d1"),
    CardButton(do="style", value="gift", draft="d1", version=3),
    CardButton(do="cancel", value="", draft="d1", version=3),
    CREATE,
]


@each("button", TAPPED)
async def test_five_taps_are_one_screen(button: Any) -> None:
    once, often = Person(memory_shop()), Person(memory_shop())
    for person, taps in ((once, 1), (often, 5)):
        await person.making()
        for _tap in range(taps):
            await person.tap(button if isinstance(button, str) else button.pack())
    assert often.said == once.said and often.captions == once.captions
    assert len(often.session.of(SendInvoice)) == len(once.session.of(SendInvoice))
    assert often.session.calls


async def test_a_tap_is_done_again_when_something_was_said_in_between(person: Person) -> None:
    await person.accepted()
    home = b.Menu(action=MenuAction.HOME).pack()
    await person.tap(home)
    await person.say("/help")
    await person.tap(home)
    assert sum("Your balance" in text for text in person.said) == 2


async def test_a_purchases_other_packages_leave_only_that_purchase(person: Person) -> None:
    await person.making()
    await save_data(person.context, ChatData(buying=Buying("p" * 24, "credits-5", "", 40)))
    await person.context.set_state(Awaiting.contact)
    await person.tap(b.Packages(draft="", payment="").pack())
    assert await person.context.get_state() == Awaiting.contact.state
    await person.tap(b.Packages(draft="", payment="p" * 24).pack())
    assert await person.context.get_state() is None


async def test_an_order_that_money_came_for_is_created_from_that_message(person: Person) -> None:
    """Its button is the card's own; one that is older leads back to the card and charges nothing."""
    await person.making()
    assert "changed since" in await person.tap(b.Order(draft="d1", version=2).pack(), message_id=77)
    assert person.orders == [] and "waits here" in person.said[-1]
    assert person.session.of(EditMessageReplyMarkup)[-1].message_id == 77
    said = len(person.said)
    assert "Accepted" in await person.tap(b.Order(draft="d1", version=3).pack(), message_id=77)
    assert len(person.orders) == 1 and len(person.said) == said, "the card says it"
    assert "placed already" in await person.tap(b.Order(draft="d1", version=3).pack(), message_id=77)
    assert len(person.orders) == 1
    person.drafts.clear()
    assert "no longer there" in await person.tap(CREATE, message_id=77)


async def test_what_cannot_be_afforded_says_what_is_missing(person: Person) -> None:
    await person.making(number=3)  # of two credits
    await person.press("view", "numbers")
    markup: Any = person.session.of(EditMessageCaption)[-1].reply_markup
    texts = [key.text for row in markup.inline_keyboard for key in row]
    assert texts[:4] == [
        "1 video", "2 videos", "✓ 3 videos · 1 credit missing", "5 videos · 3 credits missing"
    ]  # fmt: skip
    await person.press("view", "lengths")
    markup = person.session.of(EditMessageCaption)[-1].reply_markup
    assert markup.inline_keyboard[1][0].text == "10 s · 4 credits missing"
    await person.press("view", "")
    markup = person.session.of(EditMessageCaption)[-1].reply_markup
    topup = next(key for row in markup.inline_keyboard for key in row if key.callback_data == "topup:d1")
    assert topup.text == "💳 Top up · 1 credit missing"
    await person.tap("topup:d1")
    assert "Your order needs 1 credit more." in person.said[-1]
    assert "• <b>5 credits</b>: 78\u00a0₽ / 60\u00a0⭐ per video\n" in person.said[-1]
    assert "• <b>30 credits</b>: 60\u00a0₽ / 46\u00a0⭐ per video, you save 23 %" in person.said[-1]


@each(
    "data",
    ["topup:{}", "packs:{}:", "buy:credits-100:{}", "payby:yookassa:credits-100:{}", "rate:{}:5", "paid:{}"],
)
async def test_a_forged_id_that_fits_into_no_button_and_no_key_is_of_nothing(data: str) -> None:
    person = Person(memory_shop())
    await person.making()
    for forged in ("x" * (64 - len(data) + 2), "\x1f"):
        assert STALE in await person.tap(data.format(forged))
