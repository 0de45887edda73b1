"""A stored video as a file to upload, read from the blob store while it is sent."""

import math
from collections.abc import AsyncGenerator
from typing import Final

from aiogram import Bot
from aiogram.types import InputFile

from services.platform.blobs import BlobStore

_BASE_S: Final = 30
_SLOWEST_BYTES_PER_S: Final = 512 * 1024


class BlobFile(InputFile):
    """Never whole in memory."""

    def __init__(self, blobs: BlobStore, key: str, filename: str = "video.mp4") -> None:
        super().__init__(filename=filename)
        self._blobs = blobs
        self._key = key

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:
        async for chunk in self._blobs.stream(self._key):
            yield chunk


def upload_timeout_s(size_bytes: int) -> int:
    """Enough for a slow line; afterwards nobody knows whether it arrived."""
    return _BASE_S + math.ceil(size_bytes / _SLOWEST_BYTES_PER_S)
