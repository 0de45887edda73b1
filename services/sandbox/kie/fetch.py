"""Gets bytes from elsewhere, within limits, and tells whether they are a picture."""

from __future__ import annotations

import io
import warnings

import aiohttp
from PIL import Image, UnidentifiedImageError

from services.sandbox.context import Context

_FORMATS = ("JPEG", "PNG", "WEBP")
_CHUNK_BYTES = 65_536


async def download(ctx: Context, url: str, size_max_bytes: int, timeout_s: float) -> bytes | None:
    """The body of a 200 answer, cut a little after `size_max_bytes`; None when there is no such answer."""
    data = bytearray()
    try:
        async with ctx.http().get(url, timeout=aiohttp.ClientTimeout(total=timeout_s)) as reply:
            if reply.status != 200:
                return None
            async for part in reply.content.iter_chunked(_CHUNK_BYTES):
                data += part
                if len(data) > size_max_bytes:
                    break
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return None
    return bytes(data)


def is_image(data: bytes) -> bool:
    """Whether these bytes are a JPEG, PNG or WebP (by their header, not by a name)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return image.width > 0
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
