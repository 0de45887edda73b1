"""What an error of a send means: only what may have arrived counts as unknown."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import SendMessage
from aiohttp import web

from services.adapters.telegram.send import NotSentError, SendingSession, classify
from services.adapters.telegram.video_file import BlobFile, upload_timeout_s
from services.platform.blobs import BlobStoreAwayError, FolderBlobs
from tests.support.each import each

METHOD = SendMessage(chat_id=987654321, text="the seller's words")


@each(
    ("error", "outcome"),
    [
        (TelegramRetryAfter(METHOD, "Too Many Requests", 7), "again"),
        (TelegramServerError(METHOD, "Internal Server Error"), "again"),
        (NotSentError(METHOD, "cannot connect"), "again"),
        (TelegramUnauthorizedError(METHOD, "Unauthorized"), "again"),
        (TelegramNotFound(METHOD, "Not Found"), "again"),
        (TelegramAPIError(METHOD, "HTTP 429"), "again"),
        (TelegramNetworkError(METHOD, "Request timeout error"), "unknown"),
        (ClientDecodeError("no JSON", ValueError(), "<html> the seller's words"), "unknown"),
        (aiohttp.ClientPayloadError(), "unknown"),
        (TimeoutError(), "unknown"),
        (TelegramEntityTooLarge(METHOD, "Request Entity Too Large"), "too_large"),
        (TelegramBadRequest(METHOD, "Bad Request: can't parse entities"), "refused"),
        (TelegramBadRequest(METHOD, "Bad Request: chat not found"), "gone"),
        (TelegramForbiddenError(METHOD, "Forbidden: bot was blocked by the user"), "gone"),
    ],
)
def test_verdicts(error: Exception, outcome: str) -> None:
    verdict = classify(error)
    assert verdict.outcome == outcome
    assert "987654321" not in verdict.reason and "words" not in verdict.reason


def test_telegrams_own_wait_is_taken_over() -> None:
    assert classify(TelegramRetryAfter(METHOD, "Too Many Requests", 7)).after_s == 7


def test_a_large_upload_gets_more_time() -> None:
    assert upload_timeout_s(0) == 30
    assert upload_timeout_s(50 * 1024 * 1024) == 130


async def test_a_video_that_breaks_off_in_our_store_was_certainly_not_taken(tmp_path: Path) -> None:
    """It is sent again for as long as it takes: sends that may have arrived end after the second."""
    whole = 0

    class Breaking(FolderBlobs):
        async def stream(
            self, key: str, *, start: int = 0, length: int | None = None
        ) -> AsyncIterator[bytes]:
            yield bytes(300_000)
            raise BlobStoreAwayError("s3://media does not answer")

    async def telegram(request: web.Request) -> web.Response:
        nonlocal whole
        await request.read()
        whole += 1
        return web.json_response({"ok": False})

    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/{path:.*}", telegram)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    session = SendingSession(api=TelegramAPIServer.from_base(f"http://{host}:{port}"))
    try:
        async with Bot("111111:sandbox", session=session) as bot:
            with pytest.raises(NotSentError) as caught:
                await bot.send_video(1, BlobFile(Breaking(tmp_path), "videos/a.mp4"))
    finally:
        await runner.cleanup()
    assert (classify(caught.value).outcome, whole) == ("again", 0)
