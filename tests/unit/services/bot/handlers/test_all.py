"""Routers over a recorded Bot session: which answers go out, in which order, and what is charged."""

from typing import Any, cast

import pytest
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import (
    AnswerCallbackQuery,
    EditMessageCaption,
    EditMessageReplyMarkup,
    EditMessageText,
    SendMessage,
    SendPhoto,
)
from aiogram.types import BufferedInputFile, Update
from msgspec.structs import replace

from ledger.commands import OrderVideos
from ledger.errors import (
    InsufficientCreditsError,
    LedgerUnavailableError,
    RejectedError,
    SalesPausedError,
)
from ledger.system.commands import PauseSales, ResumeSales
from services.accounts.drafts import Draft
from services.accounts.personal_data import Brief, forgotten_names
from services.adapters.telegram.callback_data import AcceptTerms, Menu, MenuAction, Order, Reminders
from services.adapters.telegram.updates import tap_of
from services.bot.context import TERMS_VERSION, BotContext, Person
from services.bot.handlers import (
    terms,
)
from services.bot.update_handler import ROUTERS, build_dispatcher
from services.generation.catalogue import Catalogue
from services.platform.blobs import one_chunk
from services.platform.catalogues import locale_for
from tests.support.bot_session import MemoryPeople, memory_shop, recorded_bot

USER: dict[str, Any] = {"id": 5, "is_bot": False, "first_name": "A", "language_code": "en"}
CHAT = {"id": 5, "type": "private"}
DRAFT = Draft(
    "d1", "a5", 5, "photos/p.jpg", "b1", Brief("mug"), message_id=40, photo_file="f1", style="ugc", price=1,
    version=3, shown=3,
)  # fmt: skip
CREATE = Order(draft="d1", version=3).pack()


class Desk:
    """A dispatcher, its recorded session and its shop."""

    def __init__(self, shop: BotContext) -> None:
        self.shop = shop
        self.bot, self.session = recorded_bot()
        self.storage = MemoryStorage()
        self._update_id = 0
        self.restart()

    def restart(self) -> None:
        """As a new process: what was only in memory is gone."""
        for router in ROUTERS:
            router._parent_router = None  # routers are modules': each test's dispatcher adopts them anew
        self.dispatcher: Dispatcher = build_dispatcher(self.shop, self.storage)
        self._last_tap = ""

    async def feed(self, **event: Any) -> None:
        """Whoever it is from was here before."""
        (sender,) = (kind["from"] for kind in event.values())
        people: Any = self.shop.people
        if isinstance(people, MemoryPeople) and people.updates is None:
            await people.account_of(sender["id"], locale_for(sender.get("language_code")))
        self._update_id += 1
        update = Update.model_validate({"update_id": self._update_id, **event}, context={"bot": self.bot})
        before, self._last_tap, tap = self._last_tap, "", tap_of(event)
        await self.dispatcher.feed_update(self.bot, update, repeats=tap != "" and tap == before)
        self._last_tap = tap

    async def say(self, text: str, chat: dict[str, Any] = CHAT) -> None:
        message = {"message_id": 10 + self._update_id, "date": 1, "chat": chat, "from": USER, "text": text}
        await self.feed(message=message)

    async def tap(self, data: str, message_id: int = 40, **query: Any) -> str:
        """The toast."""
        message = {"message_id": message_id, "date": 1, "chat": CHAT, "text": "x"}
        tapped = {"id": "q", "from": USER, "chat_instance": "1", "message": message, "data": data} | query
        await self.feed(callback_query=tapped)
        answers = self.session.of(AnswerCallbackQuery)
        return str(answers[-1].text or "") if answers else ""

    async def accepted(self) -> None:
        await terms.accept_terms(self.shop, Person("a5", "en", 5, False, "0" * 64))

    async def drafted(self, draft: Draft = DRAFT) -> Draft:
        """An order in the making, on its card."""
        self.drafts[draft.draft] = replace(draft, model=draft.model or self.shop.model.slug)
        return self.drafts[draft.draft]

    @property
    def drafts(self) -> dict[str, Draft]:
        drafts: Any = self.shop.drafts
        return cast(dict[str, Draft], drafts.kept)

    @property
    def captions(self) -> list[str]:
        """What the card has shown, the newest last."""
        return [
            str(call.caption)
            for call in self.session.calls
            if isinstance(call, SendPhoto | EditMessageCaption)
        ]

    @property
    def said(self) -> list[str]:
        return [call.text for call in self.session.of(SendMessage)]

    @property
    def orders(self) -> list[OrderVideos]:
        ledger: Any = self.shop.ledger
        return [command for command in ledger.placed if isinstance(command, OrderVideos)]


@pytest.fixture
def desk() -> Desk:
    return Desk(memory_shop())


async def test_terms_come_first_and_accepting_shows_the_welcome_in_their_place(desk: Desk) -> None:
    await desk.say("/start")
    assert "you accept the terms" in desk.said[0]
    await desk.tap(AcceptTerms(version=TERMS_VERSION).pack())
    edit = desk.session.of(EditMessageText)[0]
    assert edit.message_id == 40 and "You have 2 credits" in edit.text
    await desk.tap(AcceptTerms(version=TERMS_VERSION).pack())
    assert (await desk.shop.ledger.read.account("a5")).balance == 2


async def test_outdated_terms_are_not_accepted(desk: Desk) -> None:
    assert "out of date" in await desk.tap(AcceptTerms(version="1999-01").pack())
    assert (await desk.shop.ledger.read.account("a5")).terms == ""


async def test_groups_and_bots_are_not_answered(desk: Desk) -> None:
    await desk.say("/start", chat={"id": -100, "type": "supergroup", "title": "g"})
    assert desk.session.calls == []


async def test_the_status_is_shown_before_the_order_is_placed(desk: Desk) -> None:
    """The notifier edits from the commit on: nothing of ours may come after it."""
    await desk.accepted()
    await desk.drafted()
    desk.session.answers.append(TelegramNetworkError(method=SendMessage(chat_id=5, text=""), message="away"))
    with pytest.raises(TelegramNetworkError):
        await desk.tap(CREATE)
    assert desk.orders == [], "nothing is charged while the status could not be shown"
    assert "1 video, 1 credit" in await desk.tap(CREATE), "the next touch goes on"
    assert [order.order for order in desk.orders] == ["d1"]
    edits = len(desk.captions)
    assert "placed already" in await desk.tap(CREATE)
    assert len(desk.captions) == edits


async def test_an_order_found_in_the_ledger_only_is_not_placed_again(desk: Desk) -> None:
    """Killed between the commit and our note: the draft does not know that it is ordered."""
    await desk.accepted()
    await desk.drafted()
    await desk.tap(CREATE)
    edits = len(desk.captions)
    desk.drafts["d1"] = replace(desk.drafts["d1"], ordered=False)
    assert "placed already" in await desk.tap(CREATE)
    assert len(desk.orders) == 1 and desk.drafts["d1"].ordered and len(desk.captions) == edits


async def test_a_card_that_is_gone_is_sent_again(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    gone = "Bad Request: message to edit not found"
    desk.session.answers.append(TelegramBadRequest(method=SendMessage(chat_id=5, text=""), message=gone))
    await desk.tap(CREATE)
    assert desk.drafts["d1"].message_id == 1000 and len(desk.orders) == 1


async def test_a_photo_that_telegram_does_not_know_any_more_is_uploaded(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    await desk.shop.blobs.put(DRAFT.photo, one_chunk(b"jpg"), size_bytes_max=9)
    for words in ("message to edit not found", "wrong file identifier/HTTP URL specified"):
        method = SendMessage(chat_id=5, text="")
        desk.session.answers.append(TelegramBadRequest(method=method, message=f"Bad Request: {words}"))
    await desk.tap(CREATE)
    assert isinstance(desk.session.of(SendPhoto)[-1].photo, BufferedInputFile) and len(desk.orders) == 1


async def test_a_paused_model_and_a_changed_price_charge_nothing(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted(replace(DRAFT, price=2))
    assert "price has changed" in await desk.tap(CREATE)
    assert "price has changed" in desk.captions[-1] and desk.drafts["d1"].price == 1
    assert "changed since" in await desk.tap(CREATE), "of another version"
    paused = tuple(replace(model, status="paused") for model in desk.shop.catalogue.models)
    desk.shop.__dict__["catalogue"] = Catalogue(paused, default_slug=desk.shop.model.slug)
    assert await desk.tap(Order(draft="d1", version=4).pack()) == "Temporarily unavailable."
    await desk.say("/cancel")
    await desk.tap(Menu(action=MenuAction.CREATE).pack())
    assert "temporarily unavailable" in desk.said[-1]
    assert desk.orders == []


async def test_while_sales_are_paused_nothing_is_confirmed_and_the_card_waits(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    ledger: Any = desk.shop.ledger
    await ledger.execute(PauseSales("login:op", "x"), key="pause")
    assert await desk.tap(CREATE) == "Nothing was charged."
    assert "taking no orders and no payments" in desk.captions[-1] and not desk.drafts["d1"].confirmed
    await desk.tap(Menu(action=MenuAction.TOPUP).pack())
    assert "taking no orders and no payments" in desk.said[-1]
    await ledger.execute(ResumeSales("login:op", "x"), key="resume")
    assert "charged" in await desk.tap(CREATE)


@pytest.mark.parametrize(
    ("refusal", "toast", "note"),
    [
        (InsufficientCreditsError(0, 2), "Not enough credits.", "Not enough credits"),
        (SalesPausedError("cap"), "Nothing was charged.", "All videos of today are taken"),
    ],
)
async def test_what_the_ledger_refuses_opens_the_order_again(
    desk: Desk, refusal: RejectedError, toast: str, note: str
) -> None:
    """Refused after the card said that it is accepted: it is ours to edit still."""
    await desk.accepted()
    await desk.drafted(replace(DRAFT, number=2))
    ledger: Any = desk.shop.ledger
    execute = ledger.execute

    async def spent(command: Any, *, key: str) -> Any:
        if isinstance(command, OrderVideos):
            raise refusal
        return await execute(command, key=key)

    ledger.execute = spent
    assert await desk.tap(CREATE) == toast
    draft = desk.drafts["d1"]
    assert (draft.confirmed, draft.jobs, draft.version, draft.shown) == (False, (), 5, 5)
    assert "in the queue" in desk.captions[-2] and note in desk.captions[-1]
    ledger.execute = execute
    assert "2 videos, 2 credits charged" in await desk.tap(Order(draft="d1", version=5).pack())


async def test_an_unknown_outcome_is_asked_for_again_with_the_same_jobs(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    ledger: Any = desk.shop.ledger
    execute, asked = ledger.execute, []

    async def away(command: Any, *, key: str) -> Any:
        asked.append((key, command))
        raise LedgerUnavailableError("away")

    ledger.execute = away
    with pytest.raises(LedgerUnavailableError):
        await desk.tap(CREATE)
    edits = len(desk.captions)
    with pytest.raises(LedgerUnavailableError):
        await desk.say("hello")  # whatever comes next asks for the order first
    ledger.execute = execute
    await desk.say("/create")
    assert "Send a photo" in desk.said[-1], "it is placed, another one can begin"
    assert [(f"order:{order.order}", order) for order in desk.orders] == asked[:1] == asked[1:]
    assert len(desk.captions) == edits, "a card that may be the notifier's is not edited"


async def test_a_query_without_its_message_is_answered(desk: Desk) -> None:
    """Telegram leaves out what is too old."""
    await desk.accepted()
    await desk.drafted()
    inaccessible = {"message_id": 40, "date": 0, "chat": CHAT}
    assert "credit charged" in await desk.tap(CREATE, message=inaccessible)
    await desk.drafted(replace(DRAFT, draft="d2"))
    assert "credit charged" in await desk.tap(Order(draft="d2", version=3).pack(), message=None)


async def test_a_late_toast_is_no_failure(desk: Desk) -> None:
    await desk.accepted()
    late = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    desk.session.answers.append(TelegramBadRequest(method=SendMessage(chat_id=5, text=""), message=late))
    await desk.tap("nonsense")
    assert desk.session.of(EditMessageReplyMarkup) == []


async def test_someone_who_was_erased_and_comes_back_gets_no_second_welcome_and_owes_what_they_owed(
    desk: Desk,
) -> None:
    forgotten = cast(MemoryPeople, desk.shop.people).forgotten
    forgotten[forgotten_names(desk.shop.settings, 5)[0]] = 3
    await desk.tap(AcceptTerms(version=TERMS_VERSION).pack())
    account = await desk.shop.ledger.read.account("a5")
    assert (account.terms, account.balance) == (TERMS_VERSION, -3)


async def test_reminders_are_switched_off_and_on_by_their_button(desk: Desk) -> None:
    await desk.accepted()
    people: Any = desk.shop.people
    assert await desk.tap(Reminders(on=False).pack()) == "🔕 No more reminders."
    assert people.reminders == {"a5": False}
    assert await desk.tap(Reminders(on=True).pack()) == "🔔 Reminders are on."
    assert people.reminders == {"a5": True}
