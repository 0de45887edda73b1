"""POST /webhooks/telegram: updates, kept before Telegram is told that we have them.

200  in the inbox, or was before, or is nothing we can read: it need not come again
503  the database is away: Telegram sends it again, for a day
403  without our secret      400, 408, 413  no JSON, too slow, too large
"""

import asyncio
import hmac
import json
from typing import Final

import structlog
from aiohttp import web

from ledger.postgres import DATABASE_ERRORS, Pool
from services.adapters.telegram.updates import SECRET_HEADER, WEBHOOK_PATH, is_update, store_updates
from services.platform.metrics import OLD_SECRETS
from services.platform.settings import Settings
from services.web.metrics import TELEGRAM_UPDATES

logger = structlog.get_logger()

BODY_S_MAX: Final = 10.0
STORE_S_MAX: Final = 10.0
"""Longer than this Telegram is not kept waiting; what is stored later is known when it comes again."""


class TelegramWebhook:
    """Takes updates for the bot. Without a secret there is no such address."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._secrets = [secret.get_secret_value().encode() for secret in settings.bot_webhook_secret]
        self._pool = pool

    def routes(self) -> list[web.RouteDef]:
        return [web.post(WEBHOOK_PATH, self.called)] if self._secrets else []

    async def called(self, request: web.Request) -> web.Response:
        """Store an update; statuses: the module's docstring."""
        self._require_secret(request.headers.get(SECRET_HEADER, ""))
        try:
            async with asyncio.timeout(BODY_S_MAX):
                update = json.loads(await request.read())
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        except (ValueError, RecursionError):
            TELEGRAM_UPDATES.labels("malformed").inc()
            raise web.HTTPBadRequest from None
        if not is_update(update):  # of a kind we do not know: others of its chat must not wait for it
            TELEGRAM_UPDATES.labels("malformed").inc()
            logger.warning("webhook_without_update")
            return web.Response()
        try:
            async with asyncio.timeout(STORE_S_MAX):
                await store_updates(self._pool, [update])
        except DATABASE_ERRORS as error:
            TELEGRAM_UPDATES.labels("later").inc()
            logger.warning("update_not_stored", error=repr(error))
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"}) from None
        TELEGRAM_UPDATES.labels("stored").inc()
        return web.Response()

    def _require_secret(self, shown: str) -> None:
        """Compare with each of ours, in constant time. Raises HTTPForbidden."""
        right = [
            hmac.compare_digest(ours, shown.encode("utf-8", "surrogateescape")) for ours in self._secrets
        ]
        if True not in right:
            TELEGRAM_UPDATES.labels("forged").inc()
            logger.warning("webhook_without_secret")
            raise web.HTTPForbidden
        OLD_SECRETS.labels("webhook").inc(not right[0])
