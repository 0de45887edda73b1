"""How fast the bot writes: each message and edit takes a slot of the limiter that all processes share."""

import asyncio
import math
from typing import Any, Final

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType

from services.adapters.telegram.limits import TelegramLimits

PATIENCE_S: Final = 30.0


class RateLimit(BaseRequestMiddleware):
    """Waits for a slot before a request that writes into a chat; a refusal by Telegram pauses it for all.

    A slot that is more than PATIENCE_S away raises TelegramRetryAfter, as Telegram itself would. Register it
    after `ObeyFlood`: then each attempt takes a slot.
    """

    def __init__(self, limits: TelegramLimits) -> None:
        self._limits = limits

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[Any]
    ) -> Any:
        chat_id = getattr(method, "chat_id", None)
        if not method.__api_method__.startswith(("send", "edit")) or not isinstance(chat_id, int):
            return await make_request(bot, method)
        slot = await self._limits.take(chat_id, wait_s_max=PATIENCE_S)
        if not slot.taken:
            raise TelegramRetryAfter(method, "our own limit", math.ceil(slot.wait_s))
        await asyncio.sleep(slot.wait_s)
        try:
            return await make_request(bot, method)
        except TelegramRetryAfter as error:
            await self._limits.pause(chat_id, error.retry_after)
            raise
