"""The photo as OpenAI takes it."""

import asyncio
import base64
import io
from typing import Final

from PIL import Image, ImageOps

from services.adapters.openai.errors import OpenAINoAnswerError

PHOTO_SIDE_PX: Final = 1024


async def picture_of(photo: bytes) -> str:
    """As `data_url`, in a thread. Raises OpenAINoAnswerError for what is no picture."""
    try:
        return await asyncio.to_thread(data_url, photo)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise OpenAINoAnswerError("photo", str(error)) from error


def data_url(photo: bytes) -> str:
    """The photo as a JPEG of at most 1024 px a side, in a data URL. Blocking. Raises OSError, ValueError."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (PHOTO_SIDE_PX, PHOTO_SIDE_PX))
        small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((PHOTO_SIDE_PX, PHOTO_SIDE_PX))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
