"""Texts from people: cleaned of hidden characters, counted, escaped for HTML.

Removed: control characters, BiDi controls (they turn the text around them), zero-width fillers, private use
code points, lone surrogates, NUL. Kept: every script, emoji with their joiners and variations.
"""

import html
import re
import unicodedata
from typing import Final, Literal

import msgspec
from aiogram.types import Message

from events.codec import clean_text
from services.adapters.telegram.client import DOWNLOAD_BYTES_MAX
from services.generation.prompts.templates import clip

TEXT_CHARS_MAX: Final = 1500
LETTERS_MIN: Final = 2
SPLIT_CHARS: Final = 4096
"""A client cuts a longer text into messages of this length."""

_KEPT_FORMAT: Final = {"\u200c", "\u200d"}  # joiners: emoji and Persian need them
_BLANK: Final = dict.fromkeys(map(ord, "\u115f\u1160\u2800\u3164\uffa0"), " ")
_DROPPED: Final = {"Cc", "Cf", "Cs", "Co"}
_MARKS_MAX: Final = 4


def tidy(text: str) -> str:
    """Normalize: NFC, no hidden characters, at most one empty line in a row."""
    text = unicodedata.normalize("NFC", clean_text(text).replace("\r\n", "\n").translate(_BLANK))
    text = "".join(_plain(character) for character in text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", _without_towers(text)).strip()


def says_something(text: str) -> bool:
    """Whether there are at least LETTERS_MIN letters or digits of any script."""
    return sum(character.isalnum() for character in text) >= LETTERS_MIN


def quote(text: str, length_max: int | None = None) -> str:
    """Escape for HTML, cut before to `length_max` as Telegram counts: an emoji is two."""
    return html.escape(text if length_max is None else clip(text, length_max), quote=False)


def _plain(character: str) -> str:
    if character == "\n" or character in _KEPT_FORMAT:
        return character
    if character == "\t" or unicodedata.category(character) in ("Zl", "Zp"):
        return " "
    return "" if unicodedata.category(character) in _DROPPED else character


def _without_towers(text: str) -> str:
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS_MAX:
            kept.append(character)
    return "".join(kept)


# What a message holds, as far as it matters here.


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
    """Kind of a message. A picture sent as a file is a photo; `service` is what nobody wrote."""
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
    """The file of a photo message: the largest size that can be downloaded."""
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


def is_photo(message: Message) -> bool:
    return content_of(message) == "photo"


def is_plain_text(message: Message) -> bool:
    return message.text is not None and not message.text.startswith("/")
