"""Keeps the status messages of orders and payments up to date: only the latest state, at most about one edit
a second.

Editing twice to the same text shows nothing ("message is not modified"), so a crash between an edit and its
record only repeats the edit.
"""

import asyncio
from typing import Final, Literal, Protocol

import structlog
from aiogram import Bot
from structlog.contextvars import bind_contextvars

from ledger.postgres import DATABASE_ERRORS
from services.adapters.telegram.client import edit_text
from services.adapters.telegram.limits import TelegramLimits
from services.adapters.telegram.send import classify
from services.notifier.messages import Shown
from services.notifier.metrics import STATUS_EDITS
from services.notifier.status_store import Status
from services.platform.backoff import backoff_s

logger = structlog.get_logger()

BATCH: Final = 32
PAUSE_S: Final = 1.0
SLOT_WAIT_S: Final = 1.0
ATTEMPTS_MAX: Final = 30
"""Failed edits in a row; with the backoff some two hours."""


class Board(Protocol):
    """Status messages of one kind: which show less than they should, and what they should show."""

    subject: Literal["order", "payment"]
    """What their names name."""

    async def claim(self, limit: int) -> list[Status]:
        """Take up to `limit` due ones."""

    async def contents(self, taken: list[Status]) -> dict[str, Shown]:
        """What each should show, at least as new as the version taken."""

    async def shown(self, status: Status, pause_s: float) -> None:
        """It shows the version taken; edit it again `pause_s` from now at the earliest."""

    async def retry(self, status: Status, wait_s: float, reason: str | None) -> None:
        """Not this time; without a reason it was only a matter of pace."""

    async def abandon(self, status: Status, reason: str) -> None:
        """It cannot be edited any more."""


class Editor:
    """`run_once` again and again."""

    def __init__(self, bot: Bot, statuses: Board, limits: TelegramLimits) -> None:
        self._bot = bot
        self._statuses = statuses
        self._limits = limits
        self.wake = asyncio.Event()
        """Set when there may be something to show."""

    async def run_once(self) -> int:
        """Bring the status messages that are due up to date; how many were taken."""
        taken = await self._statuses.claim(BATCH)
        if taken:
            contents = await self._statuses.contents(taken)
            await asyncio.gather(*(self._guarded(status, contents.get(status.name)) for status in taken))
        return len(taken)

    async def _guarded(self, status: Status, content: Shown | None) -> None:
        bind_contextvars(**{self._statuses.subject: status.name})
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
        slot = await self._limits.take(chat_id, wait_s_max=SLOT_WAIT_S, urgent=False)
        if not slot.taken:
            STATUS_EDITS.labels("paced").inc()
            return await self._statuses.retry(status, slot.wait_s, None)
        await asyncio.sleep(slot.wait_s)
        try:
            there = await edit_text(self._bot, chat_id, message_id, content.text, content.buttons)
        except Exception as error:
            return await self._failed(status, chat_id, error)
        if not there:
            return await self._abandon(status, "the message is gone")
        await self._statuses.shown(status, PAUSE_S)
        STATUS_EDITS.labels("shown").inc()
        return None

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
        return await self._statuses.retry(status, after_s or backoff_s(status.attempts + 1), reason)

    async def _abandon(self, status: Status, reason: str) -> None:
        STATUS_EDITS.labels("abandoned").inc()
        await self._statuses.abandon(status, reason)
