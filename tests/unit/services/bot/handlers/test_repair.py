"""After a refusal: what must change is waited for at once, all else stays, and who asks is told later."""

from typing import Any, cast

import pytest
from aiogram.methods import EditMessageCaption, EditMessageMedia, EditMessageReplyMarkup, SendPhoto
from msgspec.structs import replace

from events.job import Failure
from ledger.commands import FailJob, OrderVideos
from ledger.system.commands import PauseSales
from services.accounts.personal_data import Brief
from services.adapters.openai.moderation import Kinds
from services.adapters.telegram.callback_data import Again, CardButton, Menu, MenuAction, Repair, TellMe
from services.generation.circuit_breaker.rules import Circuit
from services.generation.prompts.styles import style_of
from tests.support.bot_session import memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_all import CREATE, DRAFT
from tests.unit.services.bot.handlers.test_card import Person, data_of
from tests.unit.services.bot.test_model_offer import Says

OLD = replace(
    DRAFT, draft="d0", words=Brief("mug", "steam"), format="1:1", seconds=10, number=3,
    jobs=("j1", "j2", "j3"), confirmed=True, ordered=True,
)  # fmt: skip


async def failed(person: Person, *jobs: str, **changes: Any) -> None:
    """An order of three videos, of which these failed and were refunded."""
    await person.making()
    person.drafts.clear()
    await person.drafted(replace(OLD, **changes))
    ledger: Any = person.shop.ledger
    order = OrderVideos("a5", "d0", ("j1", "j2"), 1, "m", "ugc", OLD.photo, "b0", "en", 900)
    await ledger.execute(order, key="order:d0")
    for job in jobs:
        failure = Failure("user_violation", "x")
        await ledger.execute(FailJob(job, "a5", "operator", failure), key=f"fail:{job}")


@pytest.fixture
def person() -> Person:
    return Person(memory_shop())


@each(
    ("part", "style", "view", "asked"),
    [
        ("photo", "ugc", "photo", "send another photo"),
        ("product", "ugc", "product", "another description"),
        ("product", "own", "wishes", "Write your prompt"),
        ("", "ugc", "", "New video"),
    ],
)
async def test_one_tap_makes_the_draft_and_asks_for_what_must_change(
    part: Any, style: str, view: str, asked: str
) -> None:
    person = Person(memory_shop())
    await failed(person, "j1", "j2", style=style)
    balance = (await person.shop.ledger.read.account("a5")).balance
    await person.tap(Repair(draft="d0", part=part).pack())
    draft = next(d for d in person.drafts.values() if not d.ordered)
    assert (draft.view, draft.number, draft.words, draft.photo) == (view, 2, OLD.words, OLD.photo)
    assert (draft.format, draft.seconds, draft.style, draft.jobs) == ("1:1", 10, style, ())
    assert asked in person.captions[-1], "waited for at once"
    (finished,) = person.session.of(EditMessageReplyMarkup)
    assert (finished.message_id, finished.reply_markup) == (40, None)
    assert (await person.shop.ledger.read.account("a5")).balance == balance == 2, "the refund stays as it is"
    person._update_id -= 1
    person.restart()
    await person.tap(Repair(draft="d0", part=part).pack())
    assert len(person.drafts) == 2 and person.said == [], "the same update once more"
    await person.tap(Again(draft="d0").pack())
    assert len(person.drafts) == 2 and "making an order already" in person.said[-1]


async def test_the_photo_that_is_waited_for_is_taken_without_a_question(person: Person) -> None:
    await failed(person, "j1")
    await person.tap(Repair(draft="d0", part="photo").pack())
    await person.photo(30, media_group_id="g")
    draft = next(d for d in person.drafts.values() if not d.ordered)
    assert draft.photo != OLD.photo and (draft.view, draft.words) == ("", OLD.words)
    assert len(person.session.of(EditMessageMedia)) == 1 and person.said == []
    await person.photo(31, media_group_id="g")
    assert "One photo per order" in person.said[-1], "the rest of its album"
    await person.photo(32)
    assert "Shall this photo replace" in person.said[-1], "not waited for any more"


async def test_an_order_the_check_refuses_offers_what_repairs_it(person: Person) -> None:
    await person.making(words=Brief("mug", "steam"))
    bad: Kinds = ("violence",)
    moderation: Any = person.shop.moderation
    moderation._judge.bad = {b"jpg": bad, "steam": bad}
    await person.tap(CREATE)
    views = [d for d in data_of(person.session.of(EditMessageCaption)[-1].reply_markup) if "|view|" in d]
    assert [d.split("|")[2] for d in views[1:3]] == ["photo", "wishes"]
    await person.press("view", "photo")
    await person.photo(30)
    assert person.draft.photo != DRAFT.photo and "cannot be made" not in person.captions[-1]
    await person.press("view", "wishes")
    await person.say("a window")
    assert "credit charged" in await person.tap(CREATE.replace(":3", f":{person.draft.version}"))


async def test_while_nobody_makes_videos_the_photo_is_kept_and_one_can_be_told(person: Person) -> None:
    models = [m for style in ("", "ugc") for m in style_of(style).makers(person.shop.catalogue)]
    every = [c for m in models for c in person.shop.catalogue.candidates(m)]
    paused = {m.slug: Circuit(m.slug, "paused", since_us=1, until_us=901_000_000) for m in every}
    person.shop.__dict__["circuits"] = Says(**paused)
    await person.accepted()
    await person.photo(21, caption="a red mug")
    (draft,) = person.drafts.values()
    (sent,) = person.session.of(SendPhoto)
    tell = TellMe(draft=draft.draft).pack()
    assert "Try again in about 15 min." in sent.caption and tell in data_of(sent.reply_markup)
    drafts: Any = person.shop.drafts
    assert "as soon as it works" in await person.tap(tell, message_id=1000)
    assert drafts.wanted == {"a5": (draft.draft, person._update_id)}
    await person.tap(
        CardButton(do="style", value="gift", draft=draft.draft, version=1).pack(), message_id=1000
    )
    assert "unavailable" not in person.captions[-1], "it can be made ready meanwhile"
    await person.say("/cancel")
    await person.tap(Menu(action=MenuAction.CREATE).pack())
    await person.tap(TellMe(draft="").pack())
    assert drafts.wanted["a5"][0] == ""
    assert "no longer there" in await person.tap(TellMe(draft=draft.draft).pack())
    assert drafts.wanted["a5"][0] == ""


async def test_while_nothing_is_sold_a_photo_begins_its_card_and_one_can_be_told(person: Person) -> None:
    await person.accepted()
    await cast(Any, person.shop.ledger).execute(PauseSales("login:op", "x"), key="pause")
    await person.photo(21, caption="a red mug")
    (draft,) = person.drafts.values()
    (sent,) = person.session.of(SendPhoto)
    assert "taking no orders" in sent.caption
    assert TellMe(draft=draft.draft).pack() in data_of(sent.reply_markup)
