"""Menu, help, language, support and account (from the log)."""

from aiogram import Router
from aiogram.filters import Command, CommandStart
from aiogram.types import CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _

from ledger.accounts.lots import Lot
from services.adapters.telegram.callback_data import AcceptTerms, ChooseLanguage, Menu, MenuAction, Reminders
from services.adapters.telegram.order_labels import credits_text, state_name, style_name
from services.bot.card_message import show
from services.bot.handlers import order, promotions
from services.bot.handlers.terms import welcome
from services.bot.order_history import Operation, ShownJob
from services.bot.replies import Conversation
from services.bot.screens import menu as screens
from services.bot.screens import topup
from services.bot.screens.labels import moment, operation_name
from services.bot.screens.menu import (
    Screen,
    create_button,
    home_button,
    keyboard,
    topup_button,
)
from services.platform.i18n import LOCALES

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
    await chat.send_screen(screens.menu(await chat.balance(), unfinished=unfinished))


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


@router.message(Command("language"))
@router.callback_query(Menu.filter_action(MenuAction.LANGUAGE))
async def language(event: TelegramObject, chat: Conversation) -> None:
    await chat.send_screen(screens.language())


@router.callback_query(ChooseLanguage.filter())
async def language_chosen(query: CallbackQuery, callback_data: ChooseLanguage, chat: Conversation) -> None:
    if callback_data.locale not in LOCALES:
        return
    await chat.shop.people.set_locale(chat.person.account, callback_data.locale)
    with chat.shop.texts.use_locale(callback_data.locale):
        await chat.edit_screen(Screen(_("🌐 We speak English now."), keyboard([home_button()])))
        await chat.offer_commands()
        if draft := await order.open_draft(chat):
            await show(chat, draft)


@router.callback_query(Reminders.filter())
async def reminders(query: CallbackQuery, callback_data: Reminders, chat: Conversation) -> None:
    await chat.shop.people.set_reminders(chat.person.account, on=callback_data.on)
    await chat.answer_tap(_("🔔 Reminders are on.") if callback_data.on else _("🔕 No more reminders."))


@router.message(Command("cabinet", "balance"))
@router.callback_query(Menu.filter_action(MenuAction.CABINET))
async def cabinet(event: TelegramObject, chat: Conversation) -> None:
    await chat.send_aside(await cabinet_screen(chat))


async def cabinet_screen(chat: Conversation) -> Screen:
    account = await chat.shop.account(chat.person)
    operations = await chat.shop.history.operations(chat.person.account)
    jobs = await chat.shop.history.jobs(chat.person.account)
    parts = [
        _("👤 <b>My account</b>"),
        _("💳 Balance: <b>{balance}</b>").format(balance=credits_text(account.balance)),
    ]
    ending = [lot for lot in account.lots if lot.expires_at_us is not None]
    if ending:
        parts.append(_ending_line(ending))
    if operations:
        parts += ["", _("<b>Last operations</b>"), *map(_operation_line, operations)]
    if jobs:
        parts += ["", _("<b>Last videos</b>"), *map(_job_line, jobs)]
    if chat.shop.invites:
        parts += ["", promotions.invite_line(chat.shop, await promotions.link(chat.bot, chat.person))]
    parts += ["", _("🎟 A promo code? Send /promo and the code.")]
    return Screen("\n".join(parts), keyboard([topup_button(), create_button()], [home_button()]))


def _ending_line(ending: list[Lot]) -> str:
    at_us = min(lot.expires_at_us for lot in ending if lot.expires_at_us is not None)
    amount = sum(lot.amount for lot in ending if lot.expires_at_us == at_us)
    return _("⏳ {credits} of them until {moment}").format(credits=credits_text(amount), moment=moment(at_us))


def _operation_line(operation: Operation) -> str:
    amount = f"{operation.amount:+d}".replace("-", "−")
    return f"<b>{amount}</b> · {operation_name(operation)} · {moment(operation.at_us)}"


def _job_line(job: ShownJob) -> str:
    number = "" if job.of == 1 else " " + _("{number} of {of}").format(number=job.number, of=job.of)
    return f"{state_name(job.state)} · {style_name(job.style)}{number} · {moment(job.at_us)}"
