"""A stored video as Telegram gets it: its bytes, size, length and thumbnail."""

import asyncio
import contextlib
import io
import math
import struct
from collections.abc import AsyncGenerator, Iterator
from typing import Final

import msgspec
from aiogram import Bot
from aiogram.types import BufferedInputFile, InputFile
from PIL import Image, ImageOps

from services.platform.blobs import BlobError, BlobStore

_BASE_S: Final = 30
_SLOWEST_BYTES_PER_S: Final = 512 * 1024
_HEADER_BYTES: Final = 16
_MOOV_BYTES_MAX: Final = 4 * 1024 * 1024
_BOXES_MAX: Final = 64
_THUMBNAIL_PX: Final = 320
_UNREADABLE: Final = (
    BlobError, OSError, ValueError, OverflowError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


class BlobFile(InputFile):
    """A stored video to upload, streamed from the blob store: never whole in memory."""

    def __init__(self, blobs: BlobStore, key: str, filename: str = "video.mp4") -> None:
        super().__init__(filename=filename)
        self._blobs = blobs
        self._key = key
        self.broken: Exception | None = None
        """Why the store did not give all of it: what was sent is no message."""

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._blobs.stream(self._key):
                yield chunk
        except (BlobError, OSError) as error:
            self.broken = error
            raise


def upload_timeout_s(size_bytes: int) -> int:
    """Enough for a slow line; afterwards nobody knows whether it arrived."""
    return _BASE_S + math.ceil(size_bytes / _SLOWEST_BYTES_PER_S)


class VideoFacts(msgspec.Struct, frozen=True):
    """Sides in pixels, whole seconds, and a picture; None: not known."""

    width: int | None = None
    height: int | None = None
    duration: int | None = None
    thumbnail: InputFile | None = None


async def read_facts(blobs: BlobStore, video: str, photo: str) -> VideoFacts:
    """Facts from the video's header, as far as it can be read. Its thumbnail is the photo that it begins
    with; nobody goes without a video because of either."""
    found = VideoFacts()
    with contextlib.suppress(*_UNREADABLE):
        found = parse_moov(await _moov(blobs, video))
        if photo and found.width and found.height:
            data = await asyncio.to_thread(thumbnail, await blobs.get(photo), found.width, found.height)
            found = msgspec.structs.replace(found, thumbnail=BufferedInputFile(data, "thumbnail.jpg"))
    return found


def parse_moov(data: bytes) -> VideoFacts:
    """Facts from the body of an MP4's `moov`. Raises struct.error and ValueError for what is none."""
    boxes = list(_boxes(data))
    header = next((body for kind, body in boxes if kind == b"mvhd"), b"")
    scale, length = struct.unpack_from(*((">IQ", header, 20) if header[:1] == b"\1" else (">II", header, 12)))
    sides = [
        struct.unpack(">II", body[-8:])
        for track, within in boxes
        if track == b"trak"
        for kind, body in _boxes(within)
        if kind == b"tkhd"
    ]
    width, height = max(sides, default=(0, 0))  # in 16.16; a sound track has none
    duration = max(1, round(length / scale)) if scale else None
    return VideoFacts(width >> 16 or None, height >> 16 or None, duration)


def thumbnail(photo: bytes, width: int, height: int) -> bytes:
    """Cut the photo to these proportions, as a small JPEG. Raises what Pillow raises."""
    scale = _THUMBNAIL_PX / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    with Image.open(io.BytesIO(photo)) as source:
        source.draft("RGB", (2 * size[0], 2 * size[1]))
        small = ImageOps.fit(source.convert("RGB"), size)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG")
    return buffer.getvalue()


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


async def _moov(blobs: BlobStore, key: str) -> bytes:
    """The body of the box `moov`, wherever in the file it lies."""
    at = 0
    for _ in range(_BOXES_MAX):
        header = await _part(blobs, key, at, _HEADER_BYTES)
        size, kind = struct.unpack_from(">I4s", header)
        begins = at + 8
        if size == 1:
            (size,), begins = struct.unpack_from(">Q", header, 8), at + 16
        if kind == b"moov" and size <= _MOOV_BYTES_MAX:
            return await _part(blobs, key, begins, at + size - begins)
        if size < 8:
            break
        at += size
    raise ValueError("it has no header that can be read")


async def _part(blobs: BlobStore, key: str, start: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.stream(key, start=start, length=length)])
