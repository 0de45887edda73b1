"""Webhook instead of polling: Telegram is told where to, and asked how that goes."""

import asyncio
import time
from typing import Final

import structlog
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramNotFound, TelegramUnauthorizedError
from aiogram.types import WebhookInfo

from services.adapters.telegram.client import is_transient
from services.adapters.telegram.updates import WEBHOOK_PATH
from services.bot.metrics import FETCHED, PENDING
from services.platform.errors import StartError
from services.platform.outage_log import OutageLog, Pauses
from services.platform.periodic import sleep
from services.platform.settings import Settings

logger = structlog.get_logger()

LOOK_EVERY_S: Final = 15.0
_ERROR_FRESH_S: Final = 300.0
"""Telegram tries again sooner: with updates pending, an error not older means that none gets through."""


class Webhook:
    """Keeps the webhook ours while this process has the turn; `web` takes what comes."""

    def __init__(self, settings: Settings, bot: Bot, allowed_updates: list[str]) -> None:
        self._url = settings.public_base + WEBHOOK_PATH
        self._secret = settings.webhook_secret.get_secret_value()
        self._bot = bot
        self._allowed_updates = allowed_updates
        self._trouble = OutageLog("looking at the webhook")
        self._told = False

    async def run(self, stop: asyncio.Event) -> None:
        """Set it, and again when it is another, until `stop`. Raises StartError when Telegram refuses."""
        pauses = Pauses()
        while not stop.is_set():
            try:
                await self._look(await self._bot.get_webhook_info())
            except (TelegramUnauthorizedError, TelegramNotFound) as error:
                raise StartError(
                    "BOT_TOKEN: Telegram does not accept this token; get the right one from @BotFather"
                ) from error
            except TelegramBadRequest as error:
                raise StartError(
                    f"PUBLIC_URL: Telegram does not take {self._url}: {error.message}"
                ) from error
            except Exception as error:
                if not is_transient(error):
                    raise
                self._trouble.met(error)
                await sleep(pauses.next_s(), stop)
                continue
            self._trouble.over()
            pauses = Pauses()
            await sleep(LOOK_EVERY_S, stop)

    async def _look(self, info: WebhookInfo) -> None:
        """Once in a turn it is set whatever it is: how it is does not show which secret it has."""
        if not self._told or info.url != self._url:
            if self._told:
                logger.warning("webhook_was_another", url=info.url)
            await self._bot.set_webhook(
                self._url,
                secret_token=self._secret,
                allowed_updates=self._allowed_updates,
                drop_pending_updates=False,
            )
            logger.info("webhook_set", url=self._url)
            self._told = True
        PENDING.set(info.pending_update_count)
        failed_at = info.last_error_date
        if info.pending_update_count and failed_at and time.time() - failed_at.timestamp() < _ERROR_FRESH_S:
            logger.warning("webhook_fails", pending=info.pending_update_count, reason=info.last_error_message)
        else:
            FETCHED.set_to_current_time()
