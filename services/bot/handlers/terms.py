"""Accepting the terms, before anything else is answered."""

from contextlib import nullcontext, suppress
from typing import Final

from aiogram import Router
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from ledger import commands as c
from ledger.errors import KeyReusedError
from ledger.system.commands import CheckDayCap
from ledger.system.decider import check_cap, day_of
from services.accounts.personal_data import forgotten_names
from services.adapters.telegram.callback_data import AcceptTerms, ChooseLanguage, Menu, MenuAction
from services.bot.context import TERMS_VERSION, BotContext, Person
from services.bot.handlers import order, promotions
from services.bot.inputs import is_photo
from services.bot.replies import Conversation
from services.bot.screens import menu
from services.bot.screens.menu import Screen
from services.platform.catalogues import LOCALES
from services.platform.ids import new_id

router = Router(name="terms")

_PAYLOAD_CHARS_MAX: Final = 64
"""Telegram's; a client can send anything."""


async def not_accepted(event: TelegramObject, person: Person) -> bool:
    return not person.accepted


router.message.filter(not_accepted)
router.callback_query.filter(not_accepted)


@router.message(CommandStart(deep_link=True))
async def follow_link(message: Message, command: CommandObject, chat: Conversation) -> None:
    """The inviter is settled by this account's first event; what else the link is for waits for the terms."""
    payload = command.args or ""
    await promotions.remember_inviter(chat.shop, chat.person, payload)
    await chat.save_data(replace(await chat.load_data(), link=payload[:_PAYLOAD_CHARS_MAX]))
    await show_terms(message, chat)


@router.message(is_photo)
async def keep_photo(message: Message, chat: Conversation) -> None:
    """Remember where the photo is, not the photo; of an album the first."""
    flow = await chat.load_data()
    if message.media_group_id and message.media_group_id == flow.early.get("media_group_id"):
        return
    early = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    await chat.save_data(replace(flow, early=early))
    await show_terms(message, chat)


@router.message(Command("privacy"))
async def privacy(message: Message, chat: Conversation) -> None:
    await chat.send_screen(menu.privacy(chat.shop))


@router.message()
async def show_terms(message: Message, chat: Conversation) -> None:
    flow = await chat.load_data()
    await chat.send_screen(await _terms(chat, kept=bool(flow.early or flow.link)))


@router.callback_query(Menu.filter_action(MenuAction.TERMS))
async def whole_terms(query: CallbackQuery, chat: Conversation) -> None:
    await chat.edit_screen(menu.whole_terms(chat.shop, accepted=False))


@router.callback_query(AcceptTerms.filter())
async def accept(query: CallbackQuery, callback_data: AcceptTerms, chat: Conversation) -> None:
    if callback_data.version != TERMS_VERSION:
        await chat.answer_tap(_("These terms are out of date. Please read the new ones."), alert=True)
        await chat.send_screen(await _terms(chat))
        return
    await welcome(chat, gift=await accept_terms(chat.shop, chat.person))
    await chat.offer_commands()  # who was erased was left with /start


async def welcome(chat: Conversation, *, gift: bool = True) -> None:
    """Replace the terms, also when tapped again; then take the link and the photo that came before them."""
    await chat.edit_screen(menu.welcome(await chat.balance(), gift=gift))
    await chat.answer_tap()  # now: the photo takes a while
    flow = await chat.load_data()
    if flow.link:
        await promotions.begin_with(chat, flow.link)
    if flow.early:
        await order.photo(Message.model_validate(flow.early), chat)
    if flow.link or flow.early:
        await chat.save_data(replace(await chat.load_data(), early={}, link=""))


@router.callback_query(ChooseLanguage.filter())
async def choose_language(query: CallbackQuery, callback_data: ChooseLanguage, chat: Conversation) -> None:
    if callback_data.locale in LOCALES:
        await chat.shop.people.set_locale(chat.person.account, callback_data.locale)
        with chat.shop.texts.use_locale(callback_data.locale):
            await chat.edit_screen(await _terms(chat, callback_data.locale))
            await chat.offer_commands()


@router.callback_query()
async def terms_first(query: CallbackQuery, chat: Conversation) -> None:
    await chat.answer_tap(_("Please accept the terms first."))
    await chat.send_screen(await _terms(chat))


async def _terms(chat: Conversation, locale: str = "", *, kept: bool = False) -> Screen:
    shop = chat.shop
    gone = (await shop.ledger.read.sales()).welcome_day == day_of(shop.ledger.now_us())
    gift = 0 if gone else shop.settings.free_credits
    return menu.terms(shop, locale or chat.person.locale, kept=kept, gift=gift)


async def accept_terms(shop: BotContext, person: Person) -> bool:
    """Open the account, record the agreement, and grant the welcome gift once; False when the day's are gone.

    Who was erased and comes back owes what they owed."""
    account = person.account
    debt = await shop.people.remembered(forgotten_names(shop.settings, person.chat_id))
    opening = c.OpenAccount(account, person.commitment, debt=debt or 0)
    await shop.ledger.execute(opening, key=f"open:{account}")
    gift = shop.settings.free_credits if debt is None else 0
    capped = gift and shop.settings.welcome_cap_per_day
    async with shop.history.welcomes_turn() if capped else nullcontext():
        if gift and not (await shop.account(person)).terms and await _spent(shop):
            gift = 0
        command = c.AcceptTerms(account, TERMS_VERSION, gift)
        with suppress(KeyReusedError):  # agreed to with another gift; that agreement stands
            await shop.ledger.execute(command, key=f"terms:{account}:{TERMS_VERSION}")
    return debt is not None or not shop.settings.free_credits or (await shop.account(person)).lots_made > 0


async def _spent(shop: BotContext) -> bool:
    """Whether the day's welcome gifts are gone; recorded once, and once that they no longer are."""
    limit, day = shop.settings.welcome_cap_per_day, day_of(shop.ledger.now_us())
    sales = await shop.ledger.read.sales()
    if not limit and sales.welcome_day != day:
        return False
    checked = CheckDayCap("welcome", day, limit, await shop.history.welcomes_since(day))
    if check_cap(sales, checked):
        await shop.ledger.execute(checked, key=new_id())
    return 0 < limit <= checked.total
