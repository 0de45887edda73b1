"""Telegram's webhook: with our secret alone, stored before it is confirmed, once."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.adapters.telegram.updates import SECRET_HEADER, WEBHOOK_PATH
from services.platform.database import create_pool
from services.platform.health import Health
from services.platform.metrics import OLD_SECRETS
from services.platform.settings import Settings, load_settings
from services.web.main import BODY_BYTES_MAX, build_app
from services.web.telegram_webhook import TelegramWebhook
from tests.integration.services.bot.inboxes import update
from tests.integration.services.web.conftest import listening

NEW, OLD = "the-secret-from-now-on", "the-secret-before-that"


class Telegram:
    """Posts to the webhook."""

    def __init__(self, http: aiohttp.ClientSession, base: str, pool: Any) -> None:
        self.http = http
        self.url = base + WEBHOOK_PATH
        self.pool = pool

    async def post(self, body: bytes, secret: str | None = NEW) -> aiohttp.ClientResponse:
        headers = {} if secret is None else {SECRET_HEADER: secret}
        async with self.http.post(self.url, data=body, headers=headers) as reply:
            await reply.read()
            return reply

    async def stored(self) -> list[int]:
        return [row[0] for row in await self.pool.fetch("SELECT update_id FROM updates ORDER BY 1")]


def body(update_id: int, **more: Any) -> bytes:
    return json.dumps(update(update_id) | more).encode()


@pytest.fixture
async def telegram(database_url: str) -> AsyncIterator[Telegram]:
    settings = load_settings(database_url=database_url, bot_webhook_secret=f"{NEW},{OLD}")
    async with await create_pool(settings, "test") as pool:
        runner, base = await listening(build_app(Health(), TelegramWebhook(settings, pool).routes()))
        async with aiohttp.ClientSession() as http:
            yield Telegram(http, base, pool)
        await runner.cleanup()


async def test_updates_are_taken_under_any_secret_of_ours_and_under_no_other(telegram: Telegram) -> None:
    for wrong in (None, "", NEW[:-1], NEW + "x", "\N{LATIN SMALL LETTER E WITH ACUTE}" * 20):
        assert (await telegram.post(body(1), wrong)).status == 403
    assert await telegram.stored() == []
    used = OLD_SECRETS.labels("webhook")._value.get()
    assert [(await telegram.post(body(n), secret)).status for n, secret in ((1, NEW), (2, OLD))] == [200, 200]
    assert await telegram.stored() == [1, 2]
    assert OLD_SECRETS.labels("webhook")._value.get() - used == 1


async def test_what_comes_again_is_confirmed_and_kept_once(telegram: Telegram) -> None:
    assert (await telegram.post(body(1))).status == 200
    await telegram.pool.execute("DELETE FROM updates")  # answered
    assert (await telegram.post(body(1))).status == 200
    assert await telegram.stored() == []


async def test_what_is_too_large_or_no_update_is_told_apart(telegram: Telegram) -> None:
    assert (await telegram.post(b" " * (BODY_BYTES_MAX + 1))).status == 413
    assert (await telegram.post(b"{")).status == 400
    assert (await telegram.post(b"[" * 100_000)).status == 400
    for odd in (b"[]", b"null", b'{"update_id": "1"}', b'{"update_id": -5}', b'{"update_id": true}'):
        assert (await telegram.post(odd)).status == 200, "else it would hold up its chat for a day"
    assert await telegram.stored() == []
    odd_text = body(7, odd="a NUL \x00 and half a pair \ud800")
    assert (await telegram.post(odd_text)).status == 200
    assert await telegram.stored() == [7]


async def test_without_a_database_it_is_asked_to_come_again(telegram: Telegram) -> None:
    async with telegram.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE seen_updates")  # as a server that does not answer
        reply = await telegram.post(body(1))
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert (await telegram.post(body(1))).status == 200
    await telegram.pool.close()
    assert (await telegram.post(body(2))).status == 503


async def test_without_a_secret_there_is_no_such_address(settings: Settings) -> None:
    assert TelegramWebhook(settings.replace(bot_webhook_secret=""), None).routes() == []  # type: ignore[arg-type]
