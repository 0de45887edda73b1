"""How large a stored photo is, from its header."""

import io

import msgspec
from PIL import Image


class PhotoSize(msgspec.Struct, frozen=True):
    """Bytes, and pixels as stored."""

    size_bytes: int
    width: int
    height: int


def photo_size(data: bytes) -> PhotoSize:
    """Of a photo that `prepare_photo` made; the pixels are not decoded. Raises OSError for anything else."""
    with Image.open(io.BytesIO(data)) as image:
        return PhotoSize(len(data), image.width, image.height)
