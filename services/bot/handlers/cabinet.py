"""The cabinet: balance, operations, payments, invitation, settings."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiogram import Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.callback_data import Cabinet, ChooseLanguage, Menu, MenuAction, Reminders
from services.bot.card_message import show
from services.bot.handlers import order, promotions
from services.bot.replies import Conversation
from services.bot.screens import cabinet as screens
from services.bot.screens.menu import Screen
from services.platform.i18n import LOCALES

router = Router(name="cabinet")

T = TypeVar("T")


@router.message(Command("cabinet", "balance"))
@router.callback_query(Menu.filter_action(MenuAction.CABINET))
async def overview(event: TelegramObject, chat: Conversation) -> None:
    account, jobs = await chat.shop.account(chat.person), await chat.shop.history.jobs(chat.person.account)
    await chat.show_panel(screens.overview(account, jobs, invites=chat.shop.invites))


@router.callback_query(Cabinet.filter())
async def section(query: CallbackQuery, callback_data: Cabinet, chat: Conversation) -> None:
    await chat.show_panel(
        await _section(chat, callback_data.section, min(max(0, callback_data.value), 2**53))
    )


async def _section(chat: Conversation, name: str, value: int) -> Screen:
    history, account = chat.shop.history, chat.person.account
    match name:
        case "payments":
            return screens.payments(*(await _page(history.payments, account, value)))
        case "invite" if chat.shop.invites:
            settings, link = chat.shop.settings, await promotions.link(chat.bot, chat.shop, chat.person)
            return screens.invite(
                link,
                settings.referral_credits,
                settings.referred_credits,
                await history.friends(account),
                after_purchase=settings.referral_after == "purchase",
            )
        case "invite":
            return screens.no_invitations()
        case "settings":
            return screens.settings(await chat.shop.people.wants_reminders(account))
        case "spent" if (chain := await history.spent(account, value)) is not None:
            return screens.spent(chain, account)
        case _:
            return screens.operations(*(await _page(history.operations, account, value)))


async def _page(
    read: Callable[[str, int], Awaitable[tuple[list[T], int]]], account: str, page: int
) -> tuple[list[T], int, int]:
    """Rows of a page, its number and how many rows there are; a page that is gone is the first."""
    rows, total = await read(account, page)
    if not rows and page:
        page = 0
        rows, total = await read(account, page)
    return rows, page, total


@router.message(Command("invite"))
async def invite(message: Message, chat: Conversation) -> None:
    await chat.show_panel(await _section(chat, "invite", 0))


@router.message(Command("language", "settings"))
@router.callback_query(Menu.filter_action(MenuAction.LANGUAGE))
async def settings(event: TelegramObject, chat: Conversation) -> None:
    await chat.show_panel(await _section(chat, "settings", 0))


@router.callback_query(ChooseLanguage.filter())
async def language_chosen(query: CallbackQuery, callback_data: ChooseLanguage, chat: Conversation) -> None:
    if callback_data.locale not in LOCALES:
        return
    await chat.shop.people.set_locale(chat.person.account, callback_data.locale)
    with chat.shop.texts.use_locale(callback_data.locale):
        reminders = await chat.shop.people.wants_reminders(chat.person.account)
        await chat.show_panel(screens.settings(reminders, _("🌐 We speak English now.")))
        await chat.offer_commands()
        if draft := await order.open_draft(chat):
            await show(chat, draft)


@router.callback_query(Reminders.filter())
async def reminders(query: CallbackQuery, callback_data: Reminders, chat: Conversation) -> None:
    """Switch them, in the settings or under one of them."""
    await chat.shop.people.set_reminders(chat.person.account, on=callback_data.on)
    await chat.answer_tap(_("🔔 Reminders are on.") if callback_data.on else _("🔕 No more reminders."))
    if query.message is not None and query.message.message_id == (await chat.load_data()).panel:
        await chat.show_panel(screens.settings(callback_data.on))
