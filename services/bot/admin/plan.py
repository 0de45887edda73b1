"""What an admin's wish would do: words to confirm, and the command once the actor is known."""

import html
from collections.abc import Callable
from typing import Final

import msgspec

from events.job import MESSAGE_CHARS_MAX, Failure
from ledger import commands as c
from services.bot.admin.parse import Grant, RefundJob, ShowUser, Wish
from services.bot.context import BotContext
from services.bot.order_history import Operation

_TELEGRAM_DIGITS_MAX: Final = 18
_ERROR_CLASS: Final = "cancelled"
"""What the seller is told: stopped by support."""

Make = Callable[[str], c.Command]


class Plan(msgspec.Struct, frozen=True):
    """`words` are HTML; `command` makes the command from the actor, None for what changes nothing."""

    words: str
    command: Make | None = None


async def plan_of(shop: BotContext, wish: Wish) -> Plan | None:
    """None when there is no such user, or no such job."""
    match wish:
        case Grant():
            return await _grant(shop, wish)
        case RefundJob():
            return await _refund_job(shop, wish)
        case ShowUser():
            return await _show_user(shop, wish)


async def _grant(shop: BotContext, wish: Grant) -> Plan | None:
    account = await _account(shop, wish.user)
    if account is None:
        return None
    balance = (await shop.ledger.read.account(account)).balance
    words = (
        f"🛠 <b>Grant {wish.amount} credits</b> to <code>{html.escape(account)}</code>\n"
        f"Balance: {balance} → {balance + wish.amount}\nReason: {html.escape(wish.reason)}"
    )

    def command(actor: str) -> c.Command:
        return c.GrantCredits(account, wish.amount, "manual", wish.reason, actor=actor)

    return Plan(words, command)


async def _refund_job(shop: BotContext, wish: RefundJob) -> Plan | None:
    job = await shop.ledger.read.job(wish.job)
    if not job.account:
        return None
    if job.outcome:
        words = (
            f"🛠 Job <code>{html.escape(wish.job)}</code> has {job.outcome}. What is owed beyond that: /grant"
        )
        return Plan(words)
    words = (
        f"🛠 <b>End the job and refund {job.price} credits</b>: <code>{html.escape(wish.job)}</code>\n"
        f"Account: <code>{html.escape(job.account)}</code>\nReason: {html.escape(wish.reason)}\n"
        "A video that comes after all is given free."
    )
    failure = Failure(_ERROR_CLASS, "operator", wish.reason[:MESSAGE_CHARS_MAX])

    def command(actor: str) -> c.Command:
        life_s = shop.settings.refund_life_seconds
        return c.FailJob(wish.job, job.account, "operator", failure, actor=actor, refund_life_s=life_s)

    return Plan(words, command)


async def _show_user(shop: BotContext, wish: ShowUser) -> Plan | None:
    account = await _account(shop, wish.user)
    if account is None:
        return None
    state = await shop.ledger.read.account(account)
    parts = [f"🛠 <code>{html.escape(account)}</code>", f"Balance: {state.balance}"]
    if state.forgotten:
        parts.append("Forgotten")
    operations = await shop.history.operations(account)
    parts += ["", "<b>Last operations</b>", *map(_line, operations)] if operations else []
    jobs = await shop.history.job_names(account)
    parts += ["", "<b>Last jobs</b>"] if jobs else []
    for job in jobs:
        outcome = (await shop.ledger.read.job(job)).outcome or "unfinished"
        parts.append(f"<code>{html.escape(job)}</code> {outcome}")
    return Plan("\n".join(parts))


async def _account(shop: BotContext, user: str) -> str | None:
    """The account of a Telegram id, or the account of this name."""
    if user.isascii() and user.isdigit() and len(user) <= _TELEGRAM_DIGITS_MAX:
        found = await shop.people.of_telegram(int(user))
        if found is not None:
            return found.account
    return user if (await shop.ledger.read.account(user)).opened else None


def _line(operation: Operation) -> str:
    reason = getattr(operation.event, "reason", "")
    return html.escape(f"{operation.amount:+d} {type(operation.event).__name__} {reason}".strip())
