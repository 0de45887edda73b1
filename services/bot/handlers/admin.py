"""Admin commands in the chat, from `/grant` to `/pause`; invisible to others.

A change is confirmed with a button and has `account:<id>` as its actor, the admin's own account: events hold
neither Telegram ids nor names. The command is read again from the message above the button, which `digest`
proves unchanged; the key is made from it, so two taps are one. Operators' words are English; USER is a
Telegram id (digits) or an account's id.
"""

import hashlib
import html
import re
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from aiogram import Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message, TelegramObject

from events.job import Failure
from events.stream_names import SALES_STREAM
from ledger import commands as c
from ledger.errors import RejectedError
from ledger.system.commands import PauseSales, ResumeSales
from projections.reports.event_text import describe_stored
from services.adapters.telegram.callback_data import AdminDo, AdminDrop
from services.bot.context import BotContext, Person
from services.bot.order_history import Operation
from services.bot.replies import Conversation
from services.bot.screens.menu import Screen, button, keyboard

logger = structlog.get_logger()
router = Router(name="admin")

USAGE: Final = {
    "grant": "/grant USER N reason",
    "refund_job": "/refund_job JOB reason",
    "user": "/user USER",
    "sales": "/sales",
    "pause": "/pause reason",
    "resume": "/resume reason",
}
CREDITS_MAX: Final = 1000
"""By hand and from a telephone; more only on the command line."""
REASON_CHARS_MAX: Final = 200
_NUMBER: Final = re.compile(r"\d{1,6}", re.ASCII)


def digest(message: Message) -> str:
    said = f"{message.chat.id}:{message.message_id}:{int(message.date.timestamp())}:{message.text}"
    return hashlib.sha256(said.encode()).hexdigest()[:24]


_TELEGRAM_DIGITS_MAX: Final = 18
_ERROR_CLASS: Final = "cancelled"
"""What the seller is told: stopped by support."""


class Plan(msgspec.Struct, frozen=True):
    """`words` are HTML; `command` makes the command from the actor, None for what changes nothing."""

    words: str
    account: str = ""
    """Whose data they show."""
    command: Callable[[str], c.Command] | None = None


NOBODY: Final = Plan("🛠 There is no such user or job.")


async def plan_of(shop: BotContext, text: str) -> Plan:
    command, _, rest = text.strip().partition(" ")
    words = rest.split(None, 2)
    match command.partition("@")[0].lower():
        case "/grant" if len(words) == 3 and _NUMBER.fullmatch(words[1]):
            amount, reason = int(words[1]), words[2].strip()
            if 0 < amount <= CREDITS_MAX and len(reason) <= REASON_CHARS_MAX:
                return await _grant(shop, words[0], amount, reason)
        case "/refund_job" if len(words) >= 2:
            reason = rest.split(None, 1)[1].strip()
            if len(reason) <= REASON_CHARS_MAX:
                return await _refund_job(shop, words[0], reason)
        case "/sales" if not words:
            return Plan(await _sales(shop))
        case ("/pause" | "/resume") as verb if words and len(rest) <= REASON_CHARS_MAX:
            return await _brake(shop, PauseSales if verb == "/pause" else ResumeSales, rest.strip())
        case "/user" if len(words) == 1:
            return await _show_user(shop, words[0])
    usage = html.escape("\n".join(USAGE.values()))
    limits = f"N is at most {CREDITS_MAX}, a reason has at most {REASON_CHARS_MAX} characters."
    return Plan(f"🛠 I read commands like these:\n<code>{usage}</code>\n{limits}")


async def _grant(shop: BotContext, user: str, amount: int, reason: str) -> Plan:
    account = await _account(shop, user)
    if account is None:
        return NOBODY
    balance = (await shop.ledger.read.account(account)).balance
    words = (
        f"🛠 <b>Grant {amount} credits</b> to <code>{html.escape(account)}</code>\n"
        f"Balance: {balance} → {balance + amount}\nReason: {html.escape(reason)}"
    )
    return Plan(words, account, lambda actor: c.GrantCredits(account, amount, "manual", reason, actor=actor))


async def _refund_job(shop: BotContext, name: str, reason: str) -> Plan:
    job = await shop.ledger.read.job(name)
    if not job.account:
        return NOBODY
    shown, life_s = html.escape(name), shop.settings.refund_life_seconds
    if job.outcome:
        return Plan(f"🛠 Job <code>{shown}</code> has {job.outcome}. What is owed beyond that: /grant")
    words = (
        f"🛠 <b>End the job and refund {job.price} credits</b>: <code>{shown}</code>\n"
        f"Account: <code>{html.escape(job.account)}</code>\nReason: {html.escape(reason)}\n"
        "A video that comes after all is given free."
    )
    failure = Failure(_ERROR_CLASS, "operator")
    command = c.FailJob(name, job.account, "operator", failure, refund_life_s=life_s, reason=reason)
    return Plan(words, job.account, lambda actor: msgspec.structs.replace(command, actor=actor))


async def _sales(shop: BotContext) -> str:
    """Whether anything is sold, and the last that was said of it."""
    why, events = await shop.sales_closed(), await shop.ledger.read.stream(SALES_STREAM)
    said = describe_stored(events[-1].type, events[-1].data) if events else "never paused"
    shown = {"paused": "⏸ <b>Sales are paused</b>", "cap": "⏸ <b>The day's cost cap is reached</b>"}
    return f"🛠 {shown[why] if why else '▶️ <b>Sales are open</b>'}\n{html.escape(said)}"


async def _brake(shop: BotContext, change: type[PauseSales | ResumeSales], reason: str) -> Plan:
    does = (
        "<b>Pause sales</b>: no orders, no payments; what was ordered is made"
        if change is PauseSales
        else "<b>Sell again</b>; a cost cap that is reached is lifted for the rest of the day"
    )
    words = f"{await _sales(shop)}\n\n{does}\nReason: {html.escape(reason)}"
    return Plan(words, command=lambda actor: change(actor, reason))


async def _show_user(shop: BotContext, user: str) -> Plan:
    account = await _account(shop, user)
    if account is None:
        return NOBODY
    state = await shop.ledger.read.account(account)
    parts = [f"🛠 <code>{html.escape(account)}</code>", f"Balance: {state.balance}"]
    if state.forgotten:
        parts.append("Forgotten")
    operations, _total = await shop.history.operations(account)
    parts += ["", "<b>Last operations</b>", *map(_line, operations)] if operations else []
    jobs = await shop.history.job_names(account)
    parts += ["", "<b>Last jobs</b>"] if jobs else []
    for job in jobs:
        outcome = (await shop.ledger.read.job(job)).outcome or "unfinished"
        parts.append(f"<code>{html.escape(job)}</code> {outcome}")
    return Plan("\n".join(parts), account)


async def _account(shop: BotContext, user: str) -> str | None:
    if user.isascii() and user.isdigit() and len(user) <= _TELEGRAM_DIGITS_MAX:
        found = await shop.people.of_telegram(int(user))
        if found is not None:
            return found.account
    return user if (await shop.ledger.read.account(user)).opened else None


def _line(operation: Operation) -> str:
    reason = getattr(operation.event, "reason", "")
    return html.escape(f"{operation.amount:+d} {type(operation.event).__name__} {reason}".strip())


async def is_admin(event: TelegramObject, shop: BotContext, person: Person) -> bool:
    return person.chat_id in shop.settings.admin_ids


router.message.filter(is_admin)
router.callback_query.filter(is_admin)


@router.message(Command(*USAGE))
async def asked(message: Message, chat: Conversation) -> None:
    """Show the plan; `/user` changes nothing and is answered at once."""
    plan = await plan_of(chat.shop, message.text or "")
    if plan.account:
        what, actor = (message.text or "").split()[0], f"account:{chat.person.account}"
        await chat.shop.people.note_read(plan.account, what, actor=actor)
    if plan.command is None:
        await chat.send_screen(Screen(plan.words), answer_to=message.message_id)
        return
    rows = keyboard(
        [button("✅ Do it", AdminDo(digest=digest(message)).pack()), button("✖️ Leave it", AdminDrop().pack())]
    )
    await chat.send_screen(Screen(plan.words, rows), answer_to=message.message_id)


@router.callback_query(AdminDo.filter())
async def confirmed(query: CallbackQuery, callback_data: AdminDo, chat: Conversation) -> None:
    said = query.message.reply_to_message if isinstance(query.message, Message) else None
    if said is None or digest(said) != callback_data.digest:
        await chat.edit_screen(Screen("🛠 The command above is gone or was changed. Please send it again."))
        return
    plan = await plan_of(chat.shop, said.text or "")
    if plan.command is None:
        await chat.edit_screen(Screen(f"{plan.words}\n\nNothing was done."))
        return
    actor = f"account:{chat.person.account}"
    command = plan.command(actor)
    try:
        receipt = await chat.shop.ledger.execute(command, key=f"admin:{callback_data.digest}")
    except RejectedError as error:
        await chat.edit_screen(Screen(f"🛠 Refused: {html.escape(str(error))}. Nothing was done."))
    else:
        logger.info("admin_command_done", command=type(command).__name__, actor=actor)
        done = f"✅ Done at position {receipt.position}." if receipt.events else "It was so already."
        await chat.edit_screen(Screen(f"{plan.words}\n\n{done}"))


@router.callback_query(AdminDrop.filter())
async def dropped(query: CallbackQuery, chat: Conversation) -> None:
    await chat.edit_screen(Screen("✖️ Left as it was."))
