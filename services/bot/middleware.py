"""Middleware before every handler: person, language, accepted terms."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiogram import BaseMiddleware, Bot
from aiogram.types import CallbackQuery, Chat, PreCheckoutQuery, TelegramObject, User
from aiogram.utils.i18n import gettext as _
from structlog.contextvars import bind_contextvars

from services.adapters.telegram.callback_data import CheckPayment, Order
from services.adapters.telegram.client import answer_tap
from services.adapters.telegram.stars import answer_pre_checkout
from services.bot.context import TERMS_VERSION, BotContext, Person
from services.bot.metrics import drop
from services.bot.replies import Conversation
from services.platform.catalogues import locale_for

logger = structlog.get_logger()

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class PersonMiddleware(BaseMiddleware):
    """Gives handlers `person`; drops and logs what is not a person in a private chat."""

    def __init__(self, shop: BotContext) -> None:
        self._shop = shop

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        user: User | None = data.get("event_from_user")
        chat: Chat | None = data.get("event_chat")
        if user is None or user.is_bot or (chat is not None and chat.type != "private"):
            private = chat is None or chat.type == "private"
            return drop(data["event_update"].event_type, "no_person" if private else "not_private")
        update_id, state = data["event_update"].update_id, data.get("state")
        kind, locale = data["event_update"].event_type, locale_for(user.language_code)
        if kind == "message":
            account = await self._shop.people.sender(user.id, locale, update_id)
        else:  # a tap or an edit is about what was: it makes no account of somebody who was erased
            account = await self._shop.people.of_telegram(user.id)
        if account is None:
            logger.info("person_was_erased")
            await self._say_gone(data["bot"], event, locale)
            return drop(kind, "erased")
        bind_contextvars(account=account.account)
        accepted = (await self._shop.ledger.read.account(account.account)).terms == TERMS_VERSION
        person = data["person"] = Person(account.account, account.locale, user.id, accepted, account.person)
        talk = (
            Conversation(data["bot"], self._shop, person, state, event, update_id)
            if state is not None
            else None
        )
        data["chat"] = talk
        texts = self._shop.texts
        with texts.context(), texts.use_locale(account.locale):
            try:
                answer = await handler(event, data)
                if talk is not None and isinstance(event, CallbackQuery) and not talk.answered:
                    await talk.answer_tap()
            except Exception:
                if await self._is_there(account.account):
                    raise
                return None
        return answer

    async def _say_gone(self, bot: Bot, event: TelegramObject, locale: str) -> None:
        with self._shop.texts.speaking(locale):
            words = _("🤷 Nothing of yours is here any more. Write /start to begin anew.")
        if isinstance(event, CallbackQuery):
            await answer_tap(bot, event.id, words, alert=True)
        elif isinstance(event, PreCheckoutQuery):
            await answer_pre_checkout(bot, event.id, words)

    async def _is_there(self, account: str) -> bool:
        """Whether the account still exists. If not, what was to be written about it was refused."""
        there = await self._shop.people.find(account) is not None
        if not there:
            logger.info("person_was_erased")
        return there


EVERY_TAP: Final = (Order.__prefix__, CheckPayment.__prefix__)
"""Each tap of these is answered in words, and opens no second screen."""


async def drop_repeated_tap(handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
    """Middleware before the routers: a button that is tapped five times is tapped once.

    `repeats`: nothing came since the last tap, which was the same. The chat's claim knows, whoever had it.
    """
    tap = event.data if data.get("repeats") and isinstance(event, CallbackQuery) else None
    if tap is not None and tap.split(":")[0] not in EVERY_TAP:
        return None
    return await handler(event, data)
