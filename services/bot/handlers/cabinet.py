"""The cabinet: balance, operations, payments, invitation, settings, my data.

What is held of a person they can have, or have deleted, without accepting any terms
(docs/decisions/erasure.md).
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from aiogram import Router
from aiogram.filters import Command
from aiogram.types import BotCommand, BufferedInputFile, CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.callback_data import (
    Cabinet,
    ChooseLanguage,
    Menu,
    MenuAction,
    MyData,
    Reminders,
)
from services.bot.card_message import show
from services.bot.handlers import order, promotions
from services.bot.replies import Conversation
from services.bot.screens import cabinet as screens
from services.bot.screens.labels import clock_note, moment, moved_text, operation_name
from services.bot.screens.menu import Screen
from services.platform.catalogues import LOCALES

router = Router(name="cabinet")
data_router = Router(name="my_data")

EXPORTS_PER_DAY: Final = 3
ROWS_MAX: Final = 1000
"""Of each table in an export."""
SURE_S: Final = 600
"""How long the last question can be answered."""

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


@data_router.callback_query(MyData.filter())
async def my_data(query: CallbackQuery, callback_data: MyData, chat: Conversation) -> None:
    match callback_data.do:
        case "export":
            return await _export(chat)
        case "show":
            return await chat.show_panel(screens.my_data())
    state, now_us = await chat.shop.account(chat.person), chat.shop.ledger.now_us()
    now_s, balance = now_us // 1_000_000, state.available(now_us)
    match callback_data.do:
        case "ask":
            unfinished = await chat.shop.people.unfinished_jobs(chat.person.account)
            await chat.show_panel(screens.erasing(balance, state.debt, unfinished))
        case "sure":
            await chat.show_panel(screens.really(balance, now_s))
        case "erase" if state.forgotten or 0 <= now_s - callback_data.at <= SURE_S:
            await _erase(chat)  # begun and broken off, it is finished whenever that is
        case "erase":
            await chat.show_panel(screens.my_data(_("⌛ That question is too old. Nothing was deleted.")))


async def _erase(chat: Conversation) -> None:
    """Erase the person. Handled once more after a kill, until they are gone: the tap goes with them."""
    await chat.answer_tap(_("One moment, everything is being deleted…"))
    account = chat.person.account
    await chat.shop.forgetting.forget(account, actor=f"account:{account}", reason="asked for it in the chat")
    await chat.edit_screen(screens.erased())
    await chat.offer_commands(BotCommand(command="start", description=_("Begin")))


async def _export(chat: Conversation) -> None:
    people, account = chat.shop.people, chat.person.account
    if await people.reads_today(account, "export") >= EXPORTS_PER_DAY:
        await chat.answer_tap(_("✋ The file was made three times within a day. Tomorrow again."), alert=True)
        return
    await people.note_read(account, "export", actor=f"account:{account}")
    await chat.answer_tap()  # now: the file takes a while
    operations, total = await chat.shop.history.operations(account, size=ROWS_MAX)
    held, more = await people.export(account, ROWS_MAX)
    made = {
        "made_at": datetime.now(UTC),
        "times": clock_note(),
        "operations": [
            f"{moment(each.at_us)}: {moved_text(each.amount)}, {operation_name(each)}" for each in operations
        ],
        "tables": held,
        "more_rows_in": more + (["operations"] if total > ROWS_MAX else []),
    }
    body = msgspec.json.format(msgspec.json.encode(made), indent=1)
    await chat.bot.send_document(chat.person.chat_id, BufferedInputFile(body, "my-data.json"))
