"""Routers over a recorded Bot session: which answers go out, in which order, and what is charged."""

from typing import Any, cast

import pytest
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import AnswerCallbackQuery, EditMessageReplyMarkup, EditMessageText, SendMessage
from aiogram.types import Update
from msgspec.structs import replace

from ledger.commands import OrderVideos
from services.accounts.personal_data import Brief, Draft, forgotten_names
from services.adapters.telegram.callback_data import AcceptTerms, ChooseCount, Menu, MenuAction, Order
from services.bot.context import TERMS_VERSION, BotContext, Person
from services.bot.handlers import admin, confirm, drafts, fallback, menu, terms, topup
from services.bot.handlers import order as create
from services.bot.order_form import Create
from services.bot.update_handler import build_dispatcher
from services.generation.catalogue import Catalogue
from tests.support.bot_session import MemoryPeople, memory_shop, recorded_bot

USER = {"id": 5, "is_bot": False, "first_name": "A", "language_code": "en"}
CHAT = {"id": 5, "type": "private"}
DRAFT = Draft("d1", "a5", 5, 40, "photos/p.jpg", "d1", "ugc", "", ("j1",), 1)


class Desk:
    """A dispatcher, its recorded session and its shop."""

    def __init__(self, shop: BotContext) -> None:
        self.shop = shop
        self.bot, self.session = recorded_bot()
        self.storage = MemoryStorage()
        for router in (
            fallback.foreign, terms.router, menu.router, confirm.router, drafts.router, create.router,
            fallback.router, admin.router, topup.router,
        ):  # fmt: skip
            router._parent_router = None  # routers are modules': each test's dispatcher adopts them anew
        self.dispatcher: Dispatcher = build_dispatcher(shop, self.storage)
        self._update_id = 0

    async def feed(self, **event: Any) -> None:
        self._update_id += 1
        update = Update.model_validate({"update_id": self._update_id, **event}, context={"bot": self.bot})
        await self.dispatcher.feed_update(self.bot, update)

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

    async def drafted(self, draft: Draft = DRAFT) -> None:
        draft = replace(draft, model=draft.model or self.shop.model.slug)
        await self.shop.people.save_draft(draft)
        await self.shop.people.keep_text("a5", Brief("mug"), ref=draft.brief)

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
    assert "terms in short" in desk.said[0]
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
        await desk.tap(Order(draft="d1").pack())
    assert desk.orders == [], "nothing is charged while the status could not be shown"
    assert "1 video, 1 credit" in await desk.tap(Order(draft="d1").pack())
    assert [order.order for order in desk.orders] == ["d1"]
    edits = len(desk.session.of(EditMessageText))
    assert "placed already" in await desk.tap(Order(draft="d1").pack())
    assert len(desk.session.of(EditMessageText)) == edits


async def test_an_order_found_in_the_ledger_only_is_not_placed_again(desk: Desk) -> None:
    """Killed between the commit and our note: the draft does not know that it is ordered."""
    await desk.accepted()
    await desk.drafted()
    await desk.tap(Order(draft="d1").pack())
    people: Any = desk.shop.people
    people.drafts["d1"] = replace(people.drafts["d1"], ordered=False)
    assert "placed already" in await desk.tap(Order(draft="d1").pack())
    assert len(desk.orders) == 1 and people.drafts["d1"].ordered


async def test_where_the_confirm_message_is_gone_a_new_one_becomes_the_status(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    gone = "Bad Request: message to edit not found"
    desk.session.answers.append(TelegramBadRequest(method=SendMessage(chat_id=5, text=""), message=gone))
    await desk.tap(Order(draft="d1").pack())
    draft = await desk.shop.people.draft("d1")
    assert draft is not None and draft.message_id == 1000 and len(desk.orders) == 1


async def test_a_paused_model_and_a_changed_price_charge_nothing(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted(replace(DRAFT, price=2))
    assert await desk.tap(Order(draft="d1").pack()) == "The price has changed."
    paused = tuple(replace(model, status="paused") for model in desk.shop.catalogue.models)
    desk.shop.__dict__["catalogue"] = Catalogue(paused, default_slug=desk.shop.model.slug)
    assert await desk.tap(Order(draft="d1").pack()) == "Temporarily unavailable."
    await desk.tap(Menu(action=MenuAction.CREATE).pack())
    assert "temporarily unavailable" in desk.said[-1]
    assert desk.orders == []


async def test_a_place_with_missing_parts_begins_anew(desk: Desk) -> None:
    """Redis kept the step and lost what was gathered."""
    await desk.accepted()
    key = desk.dispatcher.fsm.get_context(desk.bot, 5, 5).key
    await desk.storage.set_state(key, Create.count)
    await desk.tap(ChooseCount(count=1).pack())
    assert "Send a photo" in desk.said[-1]


async def test_a_query_without_its_message_is_answered(desk: Desk) -> None:
    """Telegram leaves out what is too old."""
    await desk.accepted()
    await desk.drafted()
    inaccessible = {"message_id": 40, "date": 0, "chat": CHAT}
    assert "credit charged" in await desk.tap(Order(draft="d1").pack(), message=inaccessible)
    await desk.drafted(replace(DRAFT, draft="d2", jobs=("j2",)))
    assert "credit charged" in await desk.tap(Order(draft="d2").pack(), message=None)


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
