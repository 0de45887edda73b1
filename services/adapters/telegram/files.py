"""Files people sent to the bot: downloaded with a limit, errors told apart.

TelegramFileError
├── FileTooLargeError       over the limit, ours or the 20 MB that getFile gives to bots
└── FileUnavailableError    Telegram no longer has the file, or never had it
"""

from contextlib import aclosing
from typing import Final

import aiohttp
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError
from aiogram.methods import GetFile

from events.errors import NeurocardsError
from services.adapters.telegram.client import says

DOWNLOAD_BYTES_MAX: Final = 20 * 1024 * 1024
"""getFile gives no larger file."""
_TIMEOUT_S: Final = 60


class TelegramFileError(NeurocardsError):
    """A file cannot be downloaded from Telegram."""


class FileTooLargeError(TelegramFileError):
    """The file is larger than the limit; send a smaller one."""


class FileUnavailableError(TelegramFileError):
    """Telegram does not have the file (any more); send it again."""


async def download(bot: Bot, file_id: str, *, size_bytes_max: int = DOWNLOAD_BYTES_MAX) -> bytes:
    """A file's bytes. Raises FileTooLargeError, FileUnavailableError, or what `is_transient` holds for."""
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
