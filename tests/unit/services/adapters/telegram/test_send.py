"""What an error of a send means: only what may have arrived counts as unknown."""

import aiohttp
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

from services.adapters.telegram.send import NotSentError, classify
from services.adapters.telegram.video_file import upload_timeout_s
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
