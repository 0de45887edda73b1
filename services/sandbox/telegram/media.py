"""Looking into pictures and videos: sizes Telegram would make, length of a film, its first frame.

Bytes to bytes, no state, and slow: call these beside the event loop.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
from PIL import Image, ImageOps

from events.errors import NeurocardsError

# The server's own limits for a photo: sum of both sides, and how much longer one may be than the other.
SIDES_SUM_MAX_PX = 10_000
SIDES_RATIO_MAX = 20
_SIZES_PX = (90, 320, 800, 1280)
_THUMBNAIL_PX = 320
_JPEG_QUALITY = 87


class NotAPhotoError(NeurocardsError):
    """The bytes cannot be sent as a photo; the text is the server's own word for it."""


@dataclass(frozen=True)
class Picture:
    """A JPEG and its size in pixels."""

    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class Film:
    """What is known of a video; `duration_s` is rounded, `cover` is its first frame."""

    width: int
    height: int
    duration_s: int
    cover: Picture | None


def photo_sizes(data: bytes) -> list[Picture]:
    """The photo re-encoded in growing sizes, none larger than it is. Raises NotAPhotoError."""
    try:
        with Image.open(io.BytesIO(data)) as source:
            width, height = source.size
            if width + height > SIDES_SUM_MAX_PX or max(width, height) > SIDES_RATIO_MAX * min(width, height):
                raise NotAPhotoError("PHOTO_INVALID_DIMENSIONS")
            source.draft("RGB", (_SIZES_PX[-1], _SIZES_PX[-1]))
            image = _flattened(ImageOps.exif_transpose(source))
            longest = max(width, height)
    except NotAPhotoError:
        raise
    except Exception as error:  # the decoders of dozens of formats raise whatever they like
        raise NotAPhotoError("IMAGE_PROCESS_FAILED") from error
    wanted = [px for px in _SIZES_PX if px < longest] + [min(longest, _SIZES_PX[-1])]
    return [_scaled(image, px) for px in sorted(set(wanted))]


def thumbnail(data: bytes) -> Picture | None:
    """A small preview of a picture; None when it is none."""
    try:
        sizes = photo_sizes(data)
    except NotAPhotoError:
        return None
    return next((size for size in sizes if max(size.width, size.height) == _THUMBNAIL_PX), sizes[0])


def film(data: bytes) -> Film | None:
    """What a player would find in the bytes; None when there is no moving picture in them."""
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            if not container.streams.video:
                return None
            stream = container.streams.video[0]
            duration_s = round((container.duration or 0) / 1_000_000)
            frame = next(container.decode(stream), None)
            cover = None if frame is None else _scaled(frame.to_image(), _THUMBNAIL_PX)  # type: ignore[no-untyped-call]
            return Film(stream.width, stream.height, duration_s, cover)
    except (av.FFmpegError, OSError, ValueError):
        return None


def is_mp4(data: bytes) -> bool:
    return data[4:8] == b"ftyp"


def _flattened(image: Image.Image) -> Image.Image:
    """RGB on white, as photos have no transparency."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image.convert("RGB")


def _scaled(image: Image.Image, longest_px: int) -> Picture:
    small = image.copy()
    small.thumbnail((longest_px, longest_px), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return Picture(small.width, small.height, buffer.getvalue())
