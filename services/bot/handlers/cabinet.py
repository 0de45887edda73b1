"""The account: balance, last operations, last videos. Read from the log, so a refund shows at once."""

from aiogram import Bot, Router
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message
from aiogram.utils.i18n import gettext as _

from ledger.accounts.lots import Lot
from services.adapters.telegram.callback_data import Menu, MenuAction
from services.adapters.telegram.client import answer_tap
from services.bot import promotions
from services.bot.context import BotContext, Person
from services.bot.inputs import quote
from services.bot.order_history import Operation, ShownJob
from services.bot.replies import repeat_step, send_screen
from services.bot.screens.labels import credits_text, moment, operation_name, stage_name, style_name
from services.bot.screens.menu import Screen, create_button, home_button, keyboard, topup_button

router = Router(name="cabinet")


@router.message(Command("cabinet", "balance"))
async def cabinet(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    await send_screen(bot, person.chat_id, await cabinet_screen(bot, shop, person))
    await repeat_step(bot, shop, person, state)


@router.callback_query(Menu.filter_action(MenuAction.CABINET))
async def cabinet_tapped(query: CallbackQuery, bot: Bot, shop: BotContext, person: Person) -> None:
    await send_screen(bot, person.chat_id, await cabinet_screen(bot, shop, person))
    await answer_tap(bot, query.id)


async def cabinet_screen(bot: Bot, shop: BotContext, person: Person) -> Screen:
    """Everything about the account as it stands this moment."""
    account = await shop.account(person)
    operations = await shop.history.operations(person.account)
    jobs = await shop.history.jobs(person.account)
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
    if promotions.invites(shop):
        parts += ["", _invite_line(shop, await promotions.link(bot, person))]
    parts += ["", _("🎟 A promo code? Send /promo and the code.")]
    return Screen("\n".join(parts), keyboard([topup_button(), create_button()], [home_button()]))


def _invite_line(shop: BotContext, link: str) -> str:
    """The link to give to friends, and what it brings."""
    if shop.settings.referral_after == "purchase":
        text = _("👥 Invite a friend: after their first top-up you get {yours}, they get {theirs}.")
    else:
        text = _("👥 Invite a friend: after their first video you get {yours}, they get {theirs}.")
    yours = credits_text(shop.settings.referral_credits)
    theirs = credits_text(shop.settings.referred_credits)
    return f"{text.format(yours=yours, theirs=theirs)}\n{quote(link)}"


def _ending_line(ending: list[Lot]) -> str:
    """What ends first, and when: those are spent first, too."""
    at_us = min(lot.expires_at_us for lot in ending if lot.expires_at_us is not None)
    amount = sum(lot.amount for lot in ending if lot.expires_at_us == at_us)
    return _("⏳ {credits} of them until {moment}").format(credits=credits_text(amount), moment=moment(at_us))


def _operation_line(operation: Operation) -> str:
    amount = f"{operation.amount:+d}".replace("-", "−")
    return f"<b>{amount}</b> · {operation_name(operation)} · {moment(operation.at_us)}"


def _job_line(job: ShownJob) -> str:
    number = "" if job.of == 1 else " " + _("{number} of {of}").format(number=job.number, of=job.of)
    return f"{stage_name(job.stage)} · {style_name(job.style)}{number} · {moment(job.at_us)}"
