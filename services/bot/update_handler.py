"""Update handling: dispatch, classification of errors, apologies."""

import asyncio
from typing import Any, Final

import structlog
from aiogram import Bot, Dispatcher
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.strategy import FSMStrategy
from aiogram.types import Update
from aiogram.types.update import UpdateTypeLookupError
from redis.exceptions import RedisError

from events.errors import NeurocardsError
from ledger.errors import LedgerBusyError, LedgerUnavailableError, UnreadableError
from services.adapters.telegram import client
from services.adapters.telegram.updates import tap_of
from services.bot.context import BotContext
from services.bot.handlers import (
    admin,
    cabinet,
    card,
    fallback,
    menu,
    order,
    place_order,
    promotions,
    repair,
    terms,
    topup,
    videos,
)
from services.bot.inbox import StoredUpdate
from services.bot.metrics import drop
from services.bot.middleware import PersonMiddleware, drop_repeated_tap
from services.platform.catalogues import locale_for
from services.platform.i18n import Catalogues
from services.platform.outage_log import is_database_away

logger = structlog.get_logger()

HANDLE_TIMEOUT_S = 180.0
UNREADABLE_S_MAX: Final = 600.0
"""What a newer version wrote is left to its bots for so long: an upgrade takes minutes."""


class HandlerTimeoutError(NeurocardsError):
    """A handler took too long; retried as after any failure, and parked in the end."""


class UpdateHandler:
    def __init__(self, bot: Bot, dispatcher: Dispatcher, texts: Catalogues) -> None:
        self._bot = bot
        self._dispatcher = dispatcher
        self._texts = texts

    async def handle(self, stored: StoredUpdate) -> None:
        """Answer the update. Nobody to answer to counts as answered."""
        try:
            if stored.is_ours:
                return await card.show_balance(self._bot, self._dispatcher["shop"], stored.chat_id)
            update = Update.model_validate(stored.update(), context={"bot": self._bot})
            async with asyncio.timeout(HANDLE_TIMEOUT_S) as limit:
                kind = _kind(update)
                repeats = stored.last_tap != "" and tap_of(stored.update()) == stored.last_tap
                if kind == "unknown" or UNHANDLED is await self._dispatcher.feed_update(
                    self._bot, update, repeats=repeats
                ):
                    drop(kind, "unhandled")
        except TimeoutError as error:
            if limit.expired():  # of our own: not trouble that passes, or a hung handler would hang for ever
                raise HandlerTimeoutError(f"not handled within {HANDLE_TIMEOUT_S:g} s") from error
            raise
        except Exception as error:
            if not client.is_chat_gone(error):
                raise
            logger.info("chat_is_gone")

    def is_transient(self, error: BaseException, waited_s: float) -> bool:
        """Telegram, Redis, Postgres or the ledger are away or too busy; or a newer bot knows more."""
        if isinstance(error, UnreadableError):
            return waited_s < UNREADABLE_S_MAX
        passing = (RedisError, LedgerBusyError, LedgerUnavailableError)
        return client.is_transient(error) or is_database_away(error) or isinstance(error, passing)

    async def flooded(self, stored: StoredUpdate) -> None:
        _ = self._speech(stored)
        text = _(
            "✋ Too many messages at once: I read only the newest ones. "
            "If something important is missing, please send it again."
        )
        try:
            await self._say(stored, text)
        except Exception as error:
            if not client.is_chat_gone(error):
                raise

    async def waits(self, stored: StoredUpdate, error: BaseException) -> None:
        if not (stored.is_ours or client.is_transient(error)):  # else nothing can be said anyway
            _ = self._speech(stored)
            await self._say(
                stored,
                _(
                    "⏳ A technical hitch on our side. Your message is kept: "
                    "I will answer as soon as it is over, no need to send it again."
                ),
            )

    async def failed(self, stored: StoredUpdate, error: BaseException) -> None:
        if stored.is_ours:
            return
        _ = self._speech(stored)
        await self._say(
            stored,
            _(
                "😔 Something broke on our side, and we know about it already. "
                "I will try once more by myself; if nothing comes in a minute, open the /menu."
            ),
        )

    def _speech(self, stored: StoredUpdate) -> Any:
        code = None
        for event in stored.update().values():
            if isinstance(event, dict):
                code = (event.get("from") or {}).get("language_code")
        locale = locale_for(code)
        return lambda msgid: self._texts.gettext(msgid, locale=locale)

    async def _say(self, stored: StoredUpdate, text: str) -> None:
        if stored.chat_id > 0:
            await self._bot.send_message(stored.chat_id, text)


def _kind(update: Update) -> str:
    """The update's kind; aiogram's own would log all of an unfamiliar one."""
    try:
        return update.event_type
    except UpdateTypeLookupError:
        return "unknown"


ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "pre_checkout_query")

ROUTERS: Final = (
    fallback.foreign,
    cabinet.data_router,
    terms.router,
    promotions.router,
    admin.router,
    menu.router,
    cabinet.router,
    videos.router,
    topup.router,
    place_order.router,
    card.router,
    order.router,
    repair.router,
    fallback.router,
)
"""In the order in which they are asked."""


def build_dispatcher(shop: BotContext, places: BaseStorage) -> Dispatcher:
    """A dispatcher for one process. Handlers get `shop` and `person`."""
    dispatcher = Dispatcher(storage=places, fsm_strategy=FSMStrategy.GLOBAL_USER, disable_fsm=True, shop=shop)
    who = PersonMiddleware(shop)
    dispatcher.message.outer_middleware(topup.StarsMiddleware(shop))
    for observer in (dispatcher.message, dispatcher.edited_message, dispatcher.callback_query):
        # Here and not before all updates: what is about money is answered while Redis is away.
        observer.outer_middleware(dispatcher.fsm)
        observer.outer_middleware(who)
        observer.outer_middleware(drop_repeated_tap)
    dispatcher.pre_checkout_query.outer_middleware(who)
    dispatcher.include_routers(*ROUTERS)
    return dispatcher
