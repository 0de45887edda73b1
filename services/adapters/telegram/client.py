"""The Telegram Bot API through aiogram: bot, edits, downloads, error classes.

aiogram's exceptions are kept; the functions below say what each means for us:

    is_transient(error)    wait and ask again: network, 5xx, flood, an answer that is not the Bot API's, and a
                           token that is not taken: it is being exchanged (docs/rotation.md)
    is_chat_gone(error)    final: the person blocked the bot, deleted the account or never started it
    is_message_gone(error) the message to edit is not there, or is of another kind

After a send that timed out its outcome is unknown: asking again may show the message twice.
"""

import asyncio
import json
from collections.abc import Awaitable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import structlog
from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session import aiohttp as aiogram_session
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import GetFile, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import InlineKeyboardMarkup, InputMediaAnimation, InputMediaPhoto, InputMediaVideo, Message

from events.codec import clean_text
from events.errors import NeurocardsError
from services.platform import tracing
from services.platform.settings import Settings
from services.platform.tls import tls_context
from services.platform.witness import WITNESS

logger = structlog.get_logger()

REQUEST_TIMEOUT_S: Final = 20.0
FLOOD_PATIENCE_S: Final = 30.0
_NAME_PATIENCE_S: Final = 5.0
_GONE_CHAT: Final = ("chat not found", "user is deactivated", "bot was blocked", "peer_id_invalid")
_GONE_MESSAGE: Final = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "there is no text in the message to edit",
    "there is no caption in the message to edit",
)


def start_link(username: str | None, payload: str) -> str:
    """A link that opens the chat and begins it with `payload`: up to 64 of A-Z, a-z, 0-9, _ and -."""
    return f"https://t.me/{username}?start={payload}"


async def bot_name(settings: Settings) -> str:
    """The bot's username, as Telegram tells it; `<bot>` when it does not answer."""
    bot = create_bot(settings)
    try:
        async with asyncio.timeout(_NAME_PATIENCE_S):
            return (await bot.me()).username or "<bot>"
    except (AiogramError, aiohttp.ClientError, TimeoutError):
        return "<bot>"
    finally:
        await bot.session.close()


class ObeyFlood(BaseRequestMiddleware):
    """Obeys flood control (429) within `patience_s` in all, then raises. A refused request did nothing, so
    that asking again is safe."""

    def __init__(self, patience_s: float = FLOOD_PATIENCE_S) -> None:
        self._patience_s = patience_s

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Any:
        left_s = self._patience_s
        while True:
            try:
                with tracing.span(f"telegram {method.__api_method__}", "client"):
                    return await make_request(bot, method)
            except TelegramRetryAfter as error:
                if error.retry_after > left_s:
                    raise
                logger.warning(
                    "telegram_flood_waited", method=method.__api_method__, retry_after_s=error.retry_after
                )
                left_s -= error.retry_after
                await asyncio.sleep(error.retry_after)


vars(aiogram_session)["ssl"] = SimpleNamespace(create_default_context=lambda **_: tls_context())
"""Else aiogram reads the certificates anew for each session: 20 ms, and 4 MB that processes cannot share."""


class WitnessSession(AiohttpSession):
    """Telegram's session, whose answers tell the time."""

    async def create_session(self) -> aiohttp.ClientSession:
        session = await super().create_session()
        if not session.trace_configs:
            trace = aiohttp.TraceConfig()
            trace.on_request_end.append(_see)
            trace.freeze()
            session.trace_configs.append(trace)
        return session


async def _see(_: aiohttp.ClientSession, __: Any, ended: aiohttp.TraceRequestEndParams) -> None:
    WITNESS.see("telegram", ended.response.headers)


def create_bot(
    settings: Settings, *, flood_patience_s: float = FLOOD_PATIENCE_S, session: BaseSession | None = None
) -> Bot:
    """A bot for TELEGRAM_API_URL: HTML texts, no link previews. Close it with `bot.session.close()`.
    `flood_patience_s` bounds how long one call waits when told to (429); 0 leaves that to the caller."""
    if session is None:
        session = WitnessSession(
            api=TelegramAPIServer.from_base(settings.telegram_base),
            json_loads=loads,
            timeout=REQUEST_TIMEOUT_S,
        )
    session.middleware(ObeyFlood(flood_patience_s))
    return Bot(
        settings.telegram_token.get_secret_value(),
        session=session,
        default=DefaultBotProperties(parse_mode="HTML", link_preview_is_disabled=True),
    )


def loads(text: str) -> Any:
    """Parse JSON without NUL and lone surrogates, which Postgres and Telegram refuse."""
    data = json.loads(text)
    lowered = text.lower()
    return _cleaned(data) if "\\ud" in lowered or "\\u0000" in lowered else data


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return clean_text(value)
        case dict():
            return {key: _cleaned(item) for key, item in value.items()}
        case list():
            return [_cleaned(item) for item in value]
        case _:
            return value


def is_transient(error: BaseException) -> bool:
    if isinstance(error, TelegramEntityTooLarge):
        return False
    return isinstance(
        error,
        TelegramNetworkError
        | TelegramServerError
        | TelegramRetryAfter
        | TelegramUnauthorizedError
        | ClientDecodeError
        | aiohttp.ClientError,
    )


def is_chat_gone(error: BaseException) -> bool:
    if isinstance(error, TelegramForbiddenError):
        return True
    return isinstance(error, TelegramBadRequest) and says(error, _GONE_CHAT)


def is_message_gone(error: BaseException) -> bool:
    return isinstance(error, TelegramBadRequest) and says(error, _GONE_MESSAGE)


async def edit_text(
    bot: Bot, chat_id: int, message_id: int, text: str, reply_markup: InlineKeyboardMarkup | None = None
) -> bool:
    """Edit a message's text; without `reply_markup` its buttons go. Whether it shows it now. False when the
    message is gone or is not a text. Raises aiogram's other errors."""
    edit = bot.edit_message_text(text, chat_id=chat_id, message_id=message_id, reply_markup=reply_markup)
    return bool(await _edited(edit))


async def edit_caption(
    bot: Bot, chat_id: int, message_id: int, caption: str, reply_markup: InlineKeyboardMarkup | None = None
) -> bool:
    """As `edit_text`, for a message with a photo."""
    edit = bot.edit_message_caption(
        chat_id=chat_id, message_id=message_id, caption=caption, reply_markup=reply_markup
    )
    return bool(await _edited(edit))


async def edit_media(
    bot: Bot,
    chat_id: int,
    message_id: int,
    media: InputMediaPhoto | InputMediaVideo | InputMediaAnimation,
    reply_markup: InlineKeyboardMarkup | None,
) -> Message | bool:
    """As `edit_caption`, with another photo or video; the message as it is then, if Telegram tells."""
    return await _edited(
        bot.edit_message_media(media, chat_id=chat_id, message_id=message_id, reply_markup=reply_markup)
    )


async def edit_buttons(
    bot: Bot, chat_id: int, message_id: int, reply_markup: InlineKeyboardMarkup | None = None
) -> bool:
    """Change (or, without `reply_markup`, remove) a message's buttons; as `edit_text`."""
    edit = bot.edit_message_reply_markup(chat_id=chat_id, message_id=message_id, reply_markup=reply_markup)
    return bool(await _edited(edit))


async def answer_tap(bot: Bot, query_id: str, text: str = "", *, alert: bool = False) -> bool:
    """Answer a tapped button; False: too late (once, within about 15 seconds)."""
    return await in_time(bot.answer_callback_query(query_id, text=text[:200], show_alert=alert))


async def in_time(answer: Awaitable[bool]) -> bool:
    """Answer a query; False when it is too late for that."""
    try:
        await answer
    except TelegramBadRequest as error:
        if not says(error, ("query is too old", "query id is invalid")):
            raise
        return False
    return True


async def _edited(edit: Awaitable[Message | bool]) -> Message | bool:
    try:
        return await edit
    except TelegramBadRequest as error:
        if is_message_gone(error):
            return False
        if not says(error, ("message is not modified",)):
            raise
    return True


def says(error: TelegramBadRequest, sentences: tuple[str, ...]) -> bool:
    message = error.message.lower()
    return any(sentence in message for sentence in sentences)


DOWNLOAD_BYTES_MAX: Final = 20 * 1024 * 1024
"""getFile gives no larger file."""
_TIMEOUT_S: Final = 60


class TelegramFileError(NeurocardsError):
    """Base of download errors."""


class FileTooLargeError(TelegramFileError):
    """The file is larger than the limit."""


class FileUnavailableError(TelegramFileError):
    """Telegram does not have the file (any more)."""


async def download(bot: Bot, file_id: str, *, size_bytes_max: int = DOWNLOAD_BYTES_MAX) -> bytes:
    """Download a file. Raises FileTooLargeError, FileUnavailableError, or what `is_transient` holds for."""
    try:
        file = await bot.get_file(file_id)
    except TelegramBadRequest as error:
        if says(error, ("file is too big",)):
            raise FileTooLargeError("larger than what bots may download") from error
        raise FileUnavailableError("Telegram does not give this file") from error
    if file.file_size is not None and file.file_size > size_bytes_max:
        raise FileTooLargeError(f"{file.file_size} bytes, the limit is {size_bytes_max}")
    if not file.file_path:
        raise FileUnavailableError("Telegram gave no path for this file")
    url = bot.session.api.file_url(bot.token, file.file_path)
    data = bytearray()
    try:
        async with aclosing(bot.session.stream_content(url, timeout=_TIMEOUT_S)) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > size_bytes_max:
                    raise FileTooLargeError(f"more than {size_bytes_max} bytes")
    except aiohttp.ClientResponseError as error:
        if error.status < 500 and error.status != 429:
            raise FileUnavailableError(f"Telegram answered {error.status} for this file") from None
        raise _unreachable(bot, file_id, f"HTTP {error.status}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unreachable(bot, file_id, type(error).__name__) from error
    return bytes(data)


def _unreachable(bot: Bot, file_id: str, reason: str) -> TelegramNetworkError:
    return TelegramNetworkError(method=GetFile(file_id=file_id), message=f"download failed: {reason}")
