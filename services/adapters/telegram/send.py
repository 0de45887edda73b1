"""Sending deliveries, and classifying errors by whether they may have arrived.

A failed send is one of five, and what to do differs (`classify`):

    again     Telegram has certainly not taken the message: wait `after_s`, or back off, and send again
    unknown   it may have arrived, e.g. a timeout: sending again may show it twice
    too_large the file is over Telegram's limit
    refused   Telegram will never take this message as it is
    gone      nobody can be reached in this chat
"""

from collections.abc import Awaitable
from typing import Any, Final, Literal, cast

import msgspec
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiohttp import ClientConnectorError, ClientError, ClientTimeout, ConnectionTimeoutError

from services.adapters.telegram.client import create_bot, is_chat_gone, loads
from services.adapters.telegram.video_file import BlobFile
from services.platform.settings import Settings

CONNECT_TIMEOUT_S: Final = 10.0
SEND_TIMEOUT_S: Final = 30.0
UPLOAD_BYTES_MAX: Final = 50 * 1024 * 1024
"""A bot cannot upload more."""

REASON_CHARS_MAX: Final = 300

Outcome = Literal["again", "unknown", "too_large", "refused", "gone"]


class Verdict(msgspec.Struct, frozen=True):
    """Meaning of a send's error. `after_s` is how long Telegram told us to wait."""

    outcome: Outcome
    reason: str
    after_s: float | None = None


class NotSentError(TelegramNetworkError):
    """No connection came about, or our file broke off: Telegram has not seen the request, or no whole one."""


class SendingSession(AiohttpSession):
    """Tells failed connections from broken ones, and error pages by their status."""

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        total_s = self.timeout if timeout is None else timeout
        limits = ClientTimeout(total=total_s, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        try:
            return await super().make_request(bot, method, timeout=cast(int, limits))
        except TelegramNetworkError as error:
            broken = any(isinstance(part, BlobFile) and part.broken for _, part in method)
            if broken or isinstance(error.__cause__, ClientConnectorError | ConnectionTimeoutError):
                raise NotSentError(method=method, message=error.message) from error.__cause__
            raise

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        if status_code == 504:  # the gateway gave up waiting; what stood behind it may have gone on
            raise TelegramNetworkError(method=method, message="HTTP 504")
        try:
            return super().check_response(bot, method, status_code, content)
        except ClientDecodeError:
            if status_code >= 500:
                raise TelegramServerError(method=method, message=f"HTTP {status_code}") from None
            if status_code == 413:
                raise TelegramEntityTooLarge(method=method, message="HTTP 413") from None
            if status_code >= 400:
                raise TelegramAPIError(method=method, message=f"HTTP {status_code}") from None
            raise


def create_sending_bot(settings: Settings) -> Bot:
    """A bot that never retries by itself. Close it with `bot.session.close()`."""
    session = SendingSession(
        api=TelegramAPIServer.from_base(settings.telegram_base), json_loads=loads, timeout=SEND_TIMEOUT_S
    )
    # A kept connection may be closed just as a send begins on it, which then counts as unknown.
    session._connector_init |= {"force_close": True}
    return create_bot(settings, flood_patience_s=0, session=session)


async def why_not_taken(sending: Awaitable[object]) -> str:
    """Send; why it was not taken, in words that name nobody, or nothing."""
    try:
        await sending
    except (AiogramError, ClientError) as error:
        return classify(error).reason
    return ""


def classify(error: BaseException) -> Verdict:
    """Classify a send's error. The reason names no chat and quotes no message."""
    match error:
        case TelegramRetryAfter():
            return Verdict("again", f"429: retry after {error.retry_after} s", float(error.retry_after))
        case ClientDecodeError():
            return Verdict("unknown", f"an answer that cannot be read: {error.message}")
        case TelegramAPIError():
            return Verdict(_outcome(error), f"{type(error).__name__}: {error.message}"[:REASON_CHARS_MAX])
        case _:
            return Verdict("unknown", type(error).__name__)


def _outcome(error: TelegramAPIError) -> Outcome:
    if is_chat_gone(error):
        return "gone"
    match error:
        case TelegramEntityTooLarge():
            return "too_large"
        case TelegramBadRequest():
            return "refused"
        case NotSentError():
            return "again"
        case TelegramNetworkError():
            return "unknown"
        case _:
            return "again"  # 5xx; 401 and 404 too: our token is wrong, which someone will repair


def file_id_of(message: Any) -> str | None:
    """File id of a sent video; Telegram makes a short one without sound an animation."""
    for kind in (message.video, message.animation, message.document):
        if kind is not None:
            return str(kind.file_id)
    return None
