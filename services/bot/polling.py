"""Long polling: getUpdates into the inbox, confirmed by the next offset only then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiogram import Bot
from aiogram.exceptions import TelegramConflictError, TelegramNotFound, TelegramUnauthorizedError
from aiogram.methods import TelegramMethod

from services.adapters.telegram.client import is_transient
from services.adapters.telegram.updates import is_update
from services.bot.metrics import FETCHED, drop
from services.platform.errors import StartError
from services.platform.outage_log import OutageLog, Pauses, is_database_away

logger = structlog.get_logger()

POLL_S: Final = 25
_ANSWER_MARGIN_S: Final = 15
_RIVAL_PAUSE_S: Final = 3.0


Store = Callable[[list[dict[str, Any]]], Awaitable[None]]
"""Keeps updates; durable when it returns."""


class GetRawUpdates(TelegramMethod[list[dict[str, Any]]]):
    """getUpdates with updates unparsed: an unreadable one must not hold up the others."""

    __returning__ = list[dict[str, Any]]
    __api_method__ = "getUpdates"

    offset: int | None = None
    timeout: int | None = None
    allowed_updates: list[str] | None = None


class Polling:
    """Polls until told to stop; no backlog stops it: Postgres holds that."""

    def __init__(self, bot: Bot, store: Store, allowed_updates: list[str]) -> None:
        self._bot = bot
        self._store = store
        self._allowed_updates = allowed_updates
        self._trouble = OutageLog("getting updates")

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop`. Raises StartError when Telegram refuses our token."""
        stopped = asyncio.ensure_future(stop.wait())
        offset, pauses = None, Pauses()
        try:
            while not stop.is_set():
                try:
                    updates = await self._get(offset, stopped)
                    await self._store(updates)
                except Exception as error:  # sorted in _pause_for: wait, or raise
                    await _wait(stopped, await self._pause_for(error, pauses))
                    continue
                FETCHED.set_to_current_time()
                self._trouble.over()
                pauses = Pauses()
                if updates:
                    offset = max(int(update["update_id"]) for update in updates) + 1
        finally:
            stopped.cancel()

    async def _get(self, offset: int | None, stopped: "asyncio.Future[Any]") -> list[dict[str, Any]]:
        call = GetRawUpdates(offset=offset, timeout=POLL_S, allowed_updates=self._allowed_updates)
        request = asyncio.ensure_future(self._bot(call, request_timeout=POLL_S + _ANSWER_MARGIN_S))
        try:
            await asyncio.wait({request, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                return []
            found = [update for update in request.result() if is_update(update)]
            for _ in range(len(request.result()) - len(found)):
                drop("unknown", "malformed")
            return found
        finally:
            request.cancel()

    async def _pause_for(self, error: Exception, pauses: Pauses) -> float:
        """Seconds to wait after `error`. Raises what waiting does not help."""
        match error:
            case TelegramConflictError() if "webhook" in error.message.lower():
                logger.warning(
                    "webhook_found", reason="polling and a webhook exclude each other; removing it"
                )
                try:
                    await self._bot.delete_webhook(drop_pending_updates=False)
                except Exception as failure:
                    if not is_transient(failure):
                        raise
                return pauses.next_s()
            case TelegramConflictError():
                self._trouble.met(error)
                return _RIVAL_PAUSE_S
            case TelegramUnauthorizedError() | TelegramNotFound():
                raise StartError(
                    "BOT_TOKEN: Telegram does not accept this token; get the right one from @BotFather"
                ) from error
            case _ if is_transient(error) or is_database_away(error):
                self._trouble.met(error)
                return pauses.next_s()
            case _:
                raise error


async def _wait(stopped: "asyncio.Future[Any]", seconds: float) -> None:
    await asyncio.wait({stopped}, timeout=seconds)
