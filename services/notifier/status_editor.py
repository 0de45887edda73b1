"""Status messages of orders and payments: latest state, about one edit a second.

Editing twice to the same text shows nothing ("message is not modified"), so a crash between an edit and its
record only repeats the edit.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
import structlog
from aiogram import Bot
from structlog.contextvars import bind_contextvars

from ledger.log.reader import LogReader
from ledger.postgres import DATABASE_ERRORS, Pool
from ledger.sql import load_queries
from services.adapters.telegram.client import edit_caption, edit_text
from services.adapters.telegram.limits import TelegramLimits
from services.adapters.telegram.send import classify
from services.notifier.messages import Messages, Shown, StatusLine, What
from services.notifier.metrics import STATUS_EDITS
from services.notifier.payment_messages import Link, PaymentMessages
from services.platform.backoff import backoff_s

query = load_queries("services.notifier")

logger = structlog.get_logger()

BATCH: Final = 32
PAUSE_S: Final = 1.0
TICK_S_MIN: Final = 5.0
"""What time alone changes is shown at most so often."""
SLOT_WAIT_S: Final = 1.0
REMEMBERED_MAX: Final = 10_000
ATTEMPTS_MAX: Final = 30
"""Failed edits in a row; with the backoff some two hours."""

Subject = Literal["order", "payment"]


class Status(msgspec.Struct, frozen=True):
    """A taken row of `status_messages`: order or payment `name`. `tick`: only time has passed. `known`: not
    erased. No `chat_id` without a draft, no `message_id` before the bot has sent the message."""

    name: str
    version: int
    tick: bool
    claims: int
    attempts: int
    known: bool
    locale: str | None
    chat_id: int | None
    message_id: int | None


Contents = Callable[[list[Status]], Awaitable[dict[str, Shown]]]
"""What each of these should show, at least as new as the version taken."""


class StatusStore:
    def __init__(self, pool: Pool, subject: Subject, lease_s: float) -> None:
        self._pool = pool
        self.subject: Subject = subject
        self._lease_s = lease_s

    async def claim(self, limit: int) -> list[Status]:
        """Claim up to `limit` that show less than they should."""
        rows = await self._pool.fetch(query("statuses_claim"), self.subject, limit, self._lease_s)
        return [Status(*row) for row in rows]

    async def shown(self, status: Status, pause_s: float, tick_s: float | None) -> None:
        """Record that the version taken is shown; the next edit is not before `pause_s` from now, and in
        `tick_s` time alone changes it."""
        await self._change("status_shown", status, status.version, pause_s, tick_s)

    async def retry(self, status: Status, wait_s: float, reason: str | None) -> None:
        """Release it until `wait_s` from now; without a reason it was only a matter of pace."""
        await self._change("status_retry", status, wait_s, reason, reason is not None)

    async def abandon(self, status: Status, reason: str) -> None:
        await self._change("status_abandon", status, reason)

    async def _change(self, name: str, status: Status, *arguments: object) -> None:
        await self._pool.execute(query(name), self.subject, status.name, status.claims, *arguments)


class Editor:
    def __init__(self, bot: Bot, store: StatusStore, contents: Contents, limits: TelegramLimits) -> None:
        self._bot = bot
        self._store = store
        self._contents = contents
        self._limits = limits
        self._texts: dict[str, int] = {}
        """Hashes of what messages show that time changes, for as long as it does: what looks the same is not
        edited. Forgotten with the process, which costs an edit."""
        self._edit = edit_caption if store.subject == "order" else edit_text  # an order's is a photo
        self.wake = asyncio.Event()
        """Set when there may be something to show."""

    async def run_once(self) -> int:
        taken = await self._store.claim(BATCH)
        if taken:
            contents = await self._contents(taken)
            await asyncio.gather(*(self._guarded(status, contents.get(status.name)) for status in taken))
        return len(taken)

    async def _guarded(self, status: Status, content: Shown | None) -> None:
        bind_contextvars(**{self._store.subject: status.name})
        try:
            await self._show(status, content)
        except DATABASE_ERRORS as error:  # taken until its lease ends
            logger.warning("status_interrupted", error=repr(error))
        except Exception:
            logger.exception("status_failed_unexpectedly")

    async def _show(self, status: Status, content: Shown | None) -> None:
        chat_id, message_id = status.chat_id, status.message_id
        if not status.known or chat_id is None or content is None:
            return await self._abandon(status, "the account was erased, or it has no message in a chat")
        if message_id is None:
            return await self._again(status, "the message is not there yet", None)
        if status.tick and self._texts.get(status.name) == hash(content.text):
            return await self._shown(status, content)
        slot = await self._limits.take(chat_id, wait_s_max=SLOT_WAIT_S, urgent=False)
        if not slot.taken:
            STATUS_EDITS.labels("paced").inc()
            return await self._store.retry(status, slot.wait_s, None)
        await asyncio.sleep(slot.wait_s)
        try:
            there = await self._edit(self._bot, chat_id, message_id, content.text, content.buttons)
        except Exception as error:
            return await self._failed(status, chat_id, error)
        if not there:
            return await self._abandon(status, "the message is gone")
        STATUS_EDITS.labels("shown").inc()
        return await self._shown(status, content)

    async def _shown(self, status: Status, content: Shown) -> None:
        self._texts.pop(status.name, None)
        tick_s = content.next_s
        if tick_s is not None:
            if len(self._texts) >= REMEMBERED_MAX:
                self._texts.clear()
            self._texts[status.name] = hash(content.text)
            tick_s = max(tick_s, TICK_S_MIN)
        await self._store.shown(status, PAUSE_S, tick_s)

    async def _failed(self, status: Status, chat_id: int, error: Exception) -> None:
        verdict = classify(error)
        STATUS_EDITS.labels(verdict.outcome).inc()
        if verdict.outcome == "gone":
            return await self._abandon(status, verdict.reason)
        if verdict.outcome in ("refused", "too_large"):
            logger.error("status_edit_failed", reason=verdict.reason)
            return await self._abandon(status, verdict.reason)
        if verdict.after_s is not None:
            await self._limits.pause(chat_id, verdict.after_s)
        return await self._again(status, verdict.reason, verdict.after_s)

    async def _again(self, status: Status, reason: str, after_s: float | None) -> None:
        if status.attempts >= ATTEMPTS_MAX:
            logger.error("status_edit_failed", reason=reason)
            return await self._abandon(status, reason)
        logger.info("status_not_edited", reason=reason)
        return await self._store.retry(status, after_s or backoff_s(status.attempts + 1), reason)

    async def _abandon(self, status: Status, reason: str) -> None:
        self._texts.pop(status.name, None)
        STATUS_EDITS.labels("abandoned").inc()
        await self._store.abandon(status, reason)


def order_contents(pool: Pool, messages: Messages) -> Contents:

    async def contents(taken: list[Status]) -> dict[str, Shown]:
        lines: dict[str, list[StatusLine]] = defaultdict(list)
        what: dict[str, What] = {}
        rows = await pool.fetch(query("status_lines"), [status.name for status in taken])
        for order_id, locale, style, sides, seconds, product, *line in rows:
            what[order_id] = What(order_id, locale, product, style, sides, seconds)
            lines[order_id].append(StatusLine(*line))
        return {
            status.name: messages.status(what[status.name], lines[status.name], status.locale)
            for status in taken
            if status.name in what
        }

    return contents


def payment_contents(pool: Pool, reader: LogReader, messages: PaymentMessages) -> Contents:
    """Contents of payments' messages, from the log; nothing for an erased person's."""

    async def contents(taken: list[Status]) -> dict[str, Shown]:
        rows = await pool.fetch(query("payment_links"), [status.name for status in taken])
        links = {row["payment"]: Link(*row) for row in rows}
        shown = {}
        for status in taken:
            state = await reader.payment(status.name)
            if status.name in links and state.ordered is not None:
                locale = status.locale or state.ordered.locale
                account = await reader.account(state.ordered.account) if state.succeeded else None
                balance = None if account is None or account.broken else account.balance
                shown[status.name] = messages.status(state, locale, links[status.name], balance)
        return shown

    return contents
