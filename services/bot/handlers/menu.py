"""Menu, help, support and terms."""

from aiogram import Router
from aiogram.filters import Command, CommandStart
from aiogram.types import CallbackQuery, Message, TelegramObject

from services.adapters.telegram.callback_data import AcceptTerms, Menu, MenuAction
from services.bot.handlers.terms import welcome
from services.bot.replies import Conversation
from services.bot.screens import menu as screens
from services.bot.screens import topup

router = Router(name="menu")


@router.callback_query(AcceptTerms.filter())
async def accepted_before(query: CallbackQuery, chat: Conversation) -> None:
    """An old message, a second tap, or the same update once more."""
    await welcome(chat)


@router.message(CommandStart())
@router.message(Command("menu"))
@router.callback_query(Menu.filter_action(MenuAction.HOME))
async def menu(event: TelegramObject, chat: Conversation) -> None:
    unfinished = await chat.shop.drafts.open(chat.person.account) is not None
    await chat.show_panel(screens.menu(await chat.balance(), unfinished=unfinished), aside=False)


@router.message(Command("help"))
async def help_wanted(message: Message, chat: Conversation) -> None:
    await chat.send_aside(screens.help_screen(chat.shop))


@router.message(Command("paysupport"))
async def pay_support(message: Message, chat: Conversation) -> None:
    await chat.send_aside(topup.pay_support(chat.shop.settings.support_contact, chat.person.account))


@router.message(Command("terms"))
@router.callback_query(Menu.filter_action(MenuAction.TERMS))
async def terms(event: TelegramObject, chat: Conversation) -> None:
    await chat.send_aside(screens.whole_terms(chat.shop, accepted=True))


@router.message(Command("privacy"))
async def privacy(message: Message, chat: Conversation) -> None:
    await chat.send_aside(screens.privacy(chat.shop))


@router.message(Command("support"))
@router.callback_query(Menu.filter_action(MenuAction.SUPPORT))
async def support(event: TelegramObject, chat: Conversation) -> None:
    await chat.send_aside(screens.support(chat.shop, chat.person.account))
