"""Links that open the chat, promo codes that are waited for, and what comes before the terms."""

from typing import Any

import pytest
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import EditMessageText, SendMessage

from ledger.promotions.commands import CreatePromo, key_of
from services.accounts.personal_data import Brief
from services.adapters.telegram.callback_data import AcceptTerms, Menu, MenuAction
from services.bot.chat_state import Awaiting, Buying, ChatData, load_data, save_data
from services.bot.context import TERMS_VERSION
from tests.integration.services.bot.people import picture
from tests.support.bot_session import memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_card import Person, data_of

ACCEPT = AcceptTerms(version=TERMS_VERSION).pack()


class Guest(Person):
    """A person to whom a code was given."""

    async def with_code(self, code: str = "SPRING-25", credits: int = 3) -> None:
        command = CreatePromo(code, credits, 9, None, None, "login:neurocards_operator", "sale")
        await self.shop.ledger.execute(command, key=key_of(command))

    async def data(self) -> ChatData:
        return await load_data(self.context)

    async def balance(self) -> int:
        return (await self.shop.ledger.read.account("a5")).balance

    def keys(self) -> list[str]:
        """The buttons of the newest message."""
        return data_of(self.session.of(SendMessage)[-1].reply_markup)


@pytest.fixture
def guest() -> Guest:
    return Guest(memory_shop())


async def test_a_code_is_waited_for_until_it_comes_or_something_else_does(guest: Guest) -> None:
    await guest.making()
    await guest.with_code()
    await guest.say("/promo")
    assert await guest.context.get_state() == Awaiting.promo.state
    await guest.say("WINTER")
    assert "no such code" in guest.said[-2] and guest.said[-1].startswith("⬆️"), "and back to the card"
    await guest.say("spring-25")
    assert "+3 credits" in guest.said[-1] and await guest.balance() == 5
    assert await guest.context.get_state() is None and guest.keys()[0] == "order:d1:3"
    assert "balance: 5 credits" in guest.captions[-1], "the card says the new balance"
    guest._update_id -= 1  # killed after it: the update comes again, and is no description
    await guest.say("spring-25")
    assert guest.draft.offered is None and await guest.balance() == 5


@each("comes", ["/help", "a red mug with a handle", "photo", "tap", "/cancel"])
async def test_what_is_no_code_means_what_it_always_means(comes: str) -> None:
    guest = Guest(memory_shop())
    await guest.making()
    await guest.say("/promo")
    match comes:
        case "photo":
            await guest.photo(90)
            assert guest.draft.offered is not None
        case "tap":
            await guest.tap(Menu(action=MenuAction.HOME).pack())
            assert "Menu" in guest.said[-1]
        case "/cancel":
            await guest.say(comes)
            assert "d1" in guest.drafts, "it is not the order that is dropped"
        case _:
            await guest.say(comes)
            assert ("How it works" in guest.said[-2]) or "description with «a red mug" in guest.said[-1]
    assert await guest.context.get_state() is None
    await guest.say("SPRING-25")
    assert "such code" not in guest.said[-1]


async def test_links_do_what_they_are_for_and_a_bad_one_says_so(guest: Guest) -> None:
    await guest.making(style="ugc")
    await guest.with_code()
    await guest.say("/start promo_SPRING-25")
    assert "+3 credits" in guest.said[-1]
    await guest.say("/start promo_SPRING-25")
    assert "on your account already" in guest.said[-2] and await guest.balance() == 5
    await guest.say("/start promo_NOPE")
    assert "no such code" in guest.said[-2]
    await guest.say("/start style_macro")
    assert (guest.draft.style, guest.draft.version, guest.draft.words) == ("macro", 4, Brief("mug"))
    await guest.say("/start style_gone")
    assert "no longer on offer" in guest.said[-2] and guest.draft.version == 4
    await guest.say("/start offer_1")
    assert "do not know this link" in guest.said[-2]
    for payload in ("topup", "ref_01234567"):
        await guest.say(f"/start {payload}")
        assert "Menu" in guest.said[-1]


async def test_a_link_chooses_the_style_of_the_next_order_and_of_no_other(guest: Guest) -> None:
    await guest.accepted()
    await guest.say("/start style_macro")
    assert "Now send a photo" in guest.said[-1]
    await guest.photo(90, caption="a vase")
    draft = await guest.shop.drafts.open("a5")
    assert draft is not None and draft.style == "macro" and (await guest.data()).style == ""


async def test_photo_and_link_before_the_terms_are_used_after_them(guest: Guest) -> None:
    await guest.with_code()
    await guest.say("/start promo_SPRING-25")
    await guest.photo(90, caption="a vase")
    assert "is kept" in guest.said[0] and "is kept" in guest.said[1] and await guest.balance() == 0
    await guest.say("/privacy")
    assert "Your data" in guest.said[-1]
    await guest.tap(Menu(action=MenuAction.TERMS).pack())
    assert data_of(guest.session.of(EditMessageText)[-1].reply_markup) == [ACCEPT]
    guest.session.chunks = [b"not yet"]
    away = TelegramNetworkError(method=SendMessage(chat_id=5, text=""), message="away")
    guest.session.answers.extend([True, True, away])
    with pytest.raises(TelegramNetworkError):  # after the code was redeemed, before the photo was taken
        await guest.tap(ACCEPT)
    guest.session.answers.clear()
    assert await guest.balance() == 5 and (await guest.data()).early
    guest._update_id -= 1
    await take(guest)
    draft = await guest.shop.drafts.open("a5")
    assert draft is not None and draft.words == Brief("a vase") and await guest.balance() == 5
    assert await guest.data() == ChatData() and "balance: 5 credits" in guest.captions[-1]
    drafts = dict(guest.drafts)
    await take(guest)  # the terms' button once more
    assert guest.drafts == drafts


async def take(guest: Guest) -> None:
    guest.session.chunks = [picture(400, 600)]
    await guest.tap(ACCEPT)


async def test_a_style_that_is_gone_by_the_time_it_is_used_is_no_style(guest: Guest) -> None:
    await guest.say("/start style_gone")
    await guest.tap(ACCEPT)
    assert "no longer on offer" in guest.said[-1]
    await guest.context.set_data({"style": "gone"})
    await guest.photo(90, caption="a vase")
    draft = await guest.shop.drafts.open("a5")
    assert draft is not None and draft.style == ""


async def test_erased_between_the_photo_and_the_terms_nothing_of_it_is_used(guest: Guest) -> None:
    await guest.say("/start style_macro")
    await guest.photo(90, caption="a vase")
    await guest.context.clear()  # goes with the person
    await guest.tap(ACCEPT)
    assert guest.drafts == {} and await guest.data() == ChatData()


async def test_inviting_has_a_link_and_a_way_to_send_it(guest: Guest) -> None:
    await guest.accepted()
    await guest.say("/invite")
    markup: Any = guest.session.of(SendMessage)[-1].reply_markup
    link = "start%3Dref_000000a5"
    assert "start=ref_000000a5" in guest.said[-1] and link in markup.inline_keyboard[0][0].url
    none = Guest(memory_shop(referral_credits=0, referred_credits=0))
    await none.accepted()
    await none.say("/invite")
    assert "no credits" in none.said[-1]


async def test_a_code_asked_for_while_the_receipts_address_is_waits_no_more_than_that(guest: Guest) -> None:
    """Else the address would be taken for words about the product."""
    await guest.making(words=Brief(""), view="product")
    await save_data(guest.context, ChatData(buying=Buying("p" * 24, "credits-5", "", 40)))
    await guest.context.set_state(Awaiting.contact)
    await guest.say("/promo")
    assert "Send /promo and the code" in guest.said[-2] and "receipt" in guest.said[-1]
    await guest.say("anna@example.com")
    assert guest.draft.words == Brief("") and await guest.context.get_state() is None
