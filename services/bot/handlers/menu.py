"""The menu, help, language and support: reachable at every step, and no step is lost."""

from aiogram import Bot, Router
from aiogram.filters import Command, CommandStart
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.callback_data import AcceptTerms, ChooseLanguage, Menu, MenuAction
from services.adapters.telegram.client import answer_tap
from services.bot.context import BotContext, Person
from services.bot.handlers.terms import welcome
from services.bot.replies import edit_screen, repeat_step, send_screen
from services.bot.screens import menu as screens
from services.bot.screens import topup
from services.bot.screens.menu import Screen, home_button, keyboard
from services.platform.i18n import LOCALES

router = Router(name="menu")


@router.message(CommandStart())
@router.message(Command("menu"))
async def menu(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    await show_menu(bot, shop, person, state)


# Accepted long ago: an old message, or a second tap.
router.callback_query(AcceptTerms.filter())(welcome)


@router.callback_query(Menu.filter_action(MenuAction.HOME))
async def menu_tapped(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await show_menu(bot, shop, person, state)
    await answer_tap(bot, query.id)


async def show_menu(bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    balance = (await shop.account(person)).balance
    unfinished = await state.get_state() is not None
    await send_screen(bot, person.chat_id, screens.menu(balance, unfinished=unfinished))


@router.message(Command("help"))
async def help_wanted(
    message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await send_screen(bot, person.chat_id, screens.help_screen(shop))
    await repeat_step(bot, shop, person, state)


@router.message(Command("paysupport"))
async def pay_support(
    message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await send_screen(bot, person.chat_id, topup.pay_support(shop.settings.support_contact, person.account))
    await repeat_step(bot, shop, person, state)


@router.message(Command("terms"))
async def terms(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    await send_screen(bot, person.chat_id, screens.terms(shop, person.locale, accepted=True))
    await repeat_step(bot, shop, person, state)


@router.message(Command("support"))
async def support(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    await send_screen(bot, person.chat_id, screens.support(shop, person.account))
    await repeat_step(bot, shop, person, state)


@router.callback_query(Menu.filter_action(MenuAction.SUPPORT))
async def support_tapped(query: CallbackQuery, bot: Bot, shop: BotContext, person: Person) -> None:
    await send_screen(bot, person.chat_id, screens.support(shop, person.account))
    await answer_tap(bot, query.id)


@router.message(Command("language"))
async def language(message: Message, bot: Bot, person: Person) -> None:
    await send_screen(bot, person.chat_id, screens.language())


@router.callback_query(Menu.filter_action(MenuAction.LANGUAGE))
async def language_tapped(query: CallbackQuery, bot: Bot, person: Person) -> None:
    await send_screen(bot, person.chat_id, screens.language())
    await answer_tap(bot, query.id)


@router.callback_query(ChooseLanguage.filter())
async def language_chosen(
    query: CallbackQuery,
    callback_data: ChooseLanguage,
    bot: Bot,
    shop: BotContext,
    person: Person,
    state: FSMContext,
) -> None:
    if callback_data.locale not in LOCALES:
        await answer_tap(bot, query.id)
        return
    await shop.people.set_locale(person.account, callback_data.locale)
    with shop.texts.use_locale(callback_data.locale):
        await edit_screen(bot, query, Screen(_("🌐 We speak English now."), keyboard([home_button()])))
        await repeat_step(bot, shop, person, state)
    await answer_tap(bot, query.id)
