"""What is left of an earlier order, said twice or too early, changes nothing that is being made now."""

from typing import Any

import pytest
from aiogram.filters.callback_data import CallbackData
from aiogram.methods import EditMessageText, SendInvoice, SendMessage
from aiogram.types import InlineKeyboardMarkup, User
from msgspec.structs import replace

from services.accounts.personal_data import Brief
from services.adapters.telegram import callback_data as b
from services.adapters.telegram.callback_data import MenuAction
from services.bot.context import TERMS_VERSION
from services.bot.order_form import Buying, Create, OrderForm, TopUpStep, load_form, save_form
from tests.support.bot_session import memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_all import CHAT, DRAFT, USER, Desk

STALE = "earlier step or order"
EARLIER = "0" * 24
DRAFT_SAID = replace(DRAFT, product_message=21)


class Person(Desk):
    """A desk with its one visitor's place in the chat."""

    @property
    def context(self) -> Any:
        return self.dispatcher.fsm.get_context(self.bot, 5, 5)

    async def flow(self) -> OrderForm:
        return await load_form(self.context)

    async def stand(self, step: Any, **flow: Any) -> OrderForm:
        """In the middle of an order."""
        await self.accepted()
        made = OrderForm(
            **({"id": "f" * 24, "photo": "photos/p.jpg", "product": "mug", "draft": "d" * 24} | flow)
        )
        await save_form(self.context, made)
        await self.context.set_state(step)
        return made

    async def place(self) -> tuple[Any, OrderForm]:
        return await self.context.get_state(), await self.flow()

    async def edit(self, message_id: int, text: str) -> None:
        message = {"message_id": message_id, "date": 1, "edit_date": 2, "chat": CHAT, "from": USER}
        await self.feed(edited_message=message | {"text": text})

    async def reply(self, message_id: int, text: str) -> dict[str, Any]:
        """The bot's message with a button, which answers this one of the person."""
        said = {"message_id": message_id, "date": 1, "chat": CHAT, "from": USER, "text": text}
        return {"message_id": 40, "date": 1, "chat": CHAT, "text": "x", "reply_to_message": said}


@pytest.fixture
def person() -> Person:
    return Person(memory_shop())


def data_of(markup: InlineKeyboardMarkup | None) -> list[str]:
    return [key.callback_data or "" for row in (markup.inline_keyboard if markup else []) for key in row]


STEPS: list[tuple[Any, CallbackData]] = [
    (Create.photo, b.Drop(flow=EARLIER)),
    (Create.style, b.Drop(flow=EARLIER)),
    (Create.confirm, b.Drop(flow=EARLIER)),
    (TopUpStep.contact, b.Drop(flow=EARLIER)),
    (Create.style, b.ChooseStyle(style="ugc", flow=EARLIER)),
    (Create.style, b.Describe(flow=EARLIER)),
    (Create.wishes, b.SkipWishes(flow=EARLIER)),
    (Create.count, b.OtherStyle(flow=EARLIER)),
    (Create.count, b.ChooseCount(count=1, flow=EARLIER)),
]


@pytest.mark.parametrize(("step", "button"), STEPS, ids=lambda value: getattr(value, "__prefix__", ""))
async def test_a_step_of_an_earlier_order_changes_nothing(
    person: Person, step: Any, button: CallbackData
) -> None:
    await person.stand(step, style="own")
    before = await person.place()
    assert STALE in await person.tap(button.pack())
    assert await person.place() == before and person.said == []


async def test_cancel_of_an_earlier_order_leaves_a_purchase_alone(person: Person) -> None:
    """Nothing is being ordered, only bought."""
    await person.stand(TopUpStep.contact, id="", photo="", product="", draft="")
    before = await person.place()
    assert STALE in await person.tap(b.Drop(flow=EARLIER).pack())
    assert await person.place() == before


@pytest.mark.parametrize("step", [Create.product, Create.style, Create.wishes, Create.count])
async def test_every_step_has_the_buttons_of_its_order(person: Person, step: Any) -> None:
    made = await person.stand(step, style="ugc")
    await person.tap(b.Menu(action=MenuAction.RESUME).pack())
    shown = data_of(person.session.of(SendMessage)[-1].reply_markup)
    assert shown and all(data.endswith(":" + made.id) for data in shown)


@pytest.mark.parametrize("begin", ["create", "command", "again", "change"])
async def test_another_order_does_not_replace_the_one_being_made(person: Person, begin: str) -> None:
    made = await person.stand(Create.style)
    await person.drafted()
    before = await person.place()
    match begin:
        case "create":
            await person.tap(b.Menu(action=MenuAction.CREATE).pack())
        case "command":
            await person.say("/create")
        case "again":
            await person.tap(b.Again(draft="d1").pack())
        case "change":
            await person.tap(b.ChangeDraft(draft="d1").pack())
    assert "making an order already" in person.said[-1] and await person.place() == before
    assert await person.shop.people.draft("d1") is not None
    assert data_of(person.session.of(SendMessage)[-1].reply_markup)[-1] == b.Drop(flow=made.id).pack()
    await person.tap(b.Drop(flow=made.id).pack())
    assert await person.place() == (None, OrderForm())
    await person.tap(b.Menu(action=MenuAction.CREATE).pack())
    assert "Send a photo" in person.said[-1]


async def test_a_text_where_a_style_is_wanted_is_asked_about(person: Person) -> None:
    made = await person.stand(Create.style)
    await person.say("something lively, please")
    assert "Shall this be the new description" in person.said[-1]
    assert await person.place() == (Create.style.state, made)
    message = await person.reply(33, "a blue mug")
    await person.tap(b.Describe(flow=made.id).pack(), message=message)
    flow = await person.flow()
    assert (flow.product, flow.product_message) == ("a blue mug", 33)
    assert "Choose a style" in person.said[-1]


async def test_the_text_that_was_asked_about_may_be_gone(person: Person) -> None:
    made = await person.stand(Create.style)
    assert "cannot be the description" in await person.tap(b.Describe(flow=made.id).pack())
    assert await person.flow() == made


@pytest.mark.parametrize(
    ("step", "part"), [(Create.style, "product"), (Create.count, "product"), (Create.count, "wishes")]
)
async def test_an_edit_changes_the_order_being_made(person: Person, step: Any, part: str) -> None:
    await person.stand(step, wishes="on a table", product_message=21, wishes_message=22)
    await person.edit({"product": 21, "wishes": 22}[part], "a green mug")
    assert getattr(await person.flow(), part) == "a green mug"
    assert person.said == ["✏️ I have taken the changed words."]


async def test_an_edit_changes_an_order_that_waits_to_be_paid_for_and_its_screen(person: Person) -> None:
    await person.stand(Create.confirm, draft="d1", product_message=21)
    await person.drafted(DRAFT_SAID)
    await person.edit(21, "a green mug")
    (edit,) = person.session.of(EditMessageText)
    assert (edit.message_id, "a green mug" in edit.text) == (40, True)
    assert data_of(edit.reply_markup)[0] == b.Order(draft="d1").pack()
    assert await person.shop.people.brief("d1") == Brief("a green mug")
    await person.tap(b.Order(draft="d1").pack())
    assert [order.brief for order in person.orders] == ["d1"]


async def test_an_edit_of_a_placed_order_is_told_and_changes_nothing(person: Person) -> None:
    await person.accepted()
    await person.drafted(DRAFT_SAID)
    await person.tap(b.Order(draft="d1").pack())
    await person.edit(21, "a green mug")
    assert "placed already" in person.said[-1]
    assert await person.shop.people.brief("d1") == Brief("mug")


@pytest.mark.parametrize(("message_id", "text"), [(21, "mug"), (99, "something else")])
async def test_edits_that_change_nothing_are_not_answered(person: Person, message_id: int, text: str) -> None:
    await person.stand(Create.style, product_message=21)
    await person.edit(message_id, text)
    assert person.session.calls == []


async def test_an_edit_that_cannot_be_taken_is_told(person: Person) -> None:
    await person.stand(Create.style, product_message=21)
    await person.edit(21, "x" * 2000)
    assert "too long" in person.said[-1] and (await person.flow()).product == "mug"


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
    b.ChangeDraft(draft="d1"),
    b.Mend(draft="d1"),
    b.Cancel(draft="d1"),
    b.Drop(flow="f" * 24),
    b.ChooseStyle(style="ugc", flow="f" * 24),
]


@each("button", TAPPED)
async def test_five_taps_are_one_screen(button: CallbackData) -> None:
    once, often = Person(memory_shop()), Person(memory_shop())
    for person, taps in ((once, 1), (often, 5)):
        step = Create.style if "flow" in type(button).model_fields else Create.confirm
        await person.stand(step, draft="d1")
        person.bot._me = User(id=1, is_bot=True, first_name="bot", username="bot")
        await person.drafted()
        await person.shop.blobs.put(DRAFT.photo, _photo(), size_bytes_max=9)
        for _tap in range(taps):
            await person.tap(button.pack())
    assert often.said == once.said
    assert len(often.session.of(SendInvoice)) == len(once.session.of(SendInvoice))
    assert often.session.calls


async def _photo() -> Any:
    yield b"jpg"


async def test_a_tap_is_done_again_when_something_was_said_in_between(person: Person) -> None:
    await person.accepted()
    home = b.Menu(action=MenuAction.HOME).pack()
    await person.tap(home)
    await person.say("/help")
    await person.tap(home)
    assert sum("Your balance" in text for text in person.said) == 2


async def test_a_purchases_other_packages_leave_only_that_purchase(person: Person) -> None:
    buying = Buying("p" * 24, "credits-5", "", 40, None)
    await person.stand(TopUpStep.contact, buying=buying)
    await person.tap(b.Packages(draft="", payment="").pack())
    assert await person.context.get_state() == TopUpStep.contact.state
    await person.tap(b.Packages(draft="", payment="p" * 24).pack())
    assert await person.context.get_state() is None
