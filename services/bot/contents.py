"""What a message holds, as far as it matters here."""

from typing import Final, Literal

import msgspec
from aiogram.types import Message

from services.adapters.telegram_files import DOWNLOAD_BYTES_MAX

Content = Literal["photo", "text", "video", "voice", "sticker", "animation", "file", "other", "service"]

_IMAGE_NAMES: Final = (
    ".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".gif", ".bmp", ".tif", ".tiff",
)  # fmt: skip
_OTHER: Final = (
    "contact", "location", "venue", "poll", "dice", "game", "story", "paid_media", "checklist", "giveaway",
)  # fmt: skip


class PhotoFile(msgspec.Struct, frozen=True):
    """A file that may be a photo. `size_bytes` is what Telegram says, 0 when it does not."""

    file_id: str
    size_bytes: int


def content_of(message: Message) -> Content:
    """What kind of message it is. A picture sent as a file is a photo; `service` is what nobody wrote."""
    if message.photo or (message.document and not message.animation and _names_image(message)):
        return "photo"
    if message.text is not None:
        return "text"
    if message.animation:
        return "animation"
    if message.video or message.video_note:
        return "video"
    if message.voice or message.audio:
        return "voice"
    if message.sticker:
        return "sticker"
    if message.document:
        return "file"
    return "other" if any(getattr(message, name, None) for name in _OTHER) else "service"


def photo_file(message: Message) -> PhotoFile | None:
    """The file to take from a photo message: of a photo's sizes the largest that can be downloaded."""
    if message.photo:
        sizes = sorted(message.photo, key=lambda size: size.width * size.height)
        fit = [size for size in sizes if (size.file_size or 0) <= DOWNLOAD_BYTES_MAX] or sizes[:1]
        return PhotoFile(fit[-1].file_id, fit[-1].file_size or 0)
    if message.document:
        return PhotoFile(message.document.file_id, message.document.file_size or 0)
    return None


def _names_image(message: Message) -> bool:
    document = message.document
    assert document is not None
    if (document.mime_type or "").startswith("image/"):
        return True
    return (document.file_name or "").lower().endswith(_IMAGE_NAMES)
