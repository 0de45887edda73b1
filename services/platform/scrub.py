"""Scrub outside text before it is kept: addresses and secrets.

The outside repeats what it was sent, escaped for JSON (once or more), for HTML, for an address, cut anywhere.
So text is made plain first, then searched.
"""

import html
import re
import unicodedata
from typing import Final
from urllib.parse import unquote

from events.codec import clean_text

HIDDEN: Final = "…"
WORDS_CHARS_MAX: Final = 500
_READ_CHARS_MAX: Final = 16 * WORDS_CHARS_MAX
_CUT_TAIL: Final = re.compile(r"[\w%&;:.\\/+=-]{0,400}")
_ESCAPE: Final = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|([nrtbf])|(?=[\"'/]))")
_TAG: Final = re.compile(r"<[/!]?[A-Za-z][^<>]{0,300}>|<!--.{0,300}?-->")
_SECRETS: Final = (
    (re.compile(r"[a-z0-9+.-]{0,21}://[^\s\"'<>]*", re.IGNORECASE), "[url]"),
    (re.compile(r"\b(?:bearer\s+)+[^\s\"',<>]+", re.IGNORECASE), f"Bearer {HIDDEN}"),
    (re.compile(r"(?<!\d)\d{6,20}:[A-Za-z0-9_-]{20,}"), HIDDEN),  # Telegram's tokens
    (re.compile(r"(?<![\w-])(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{32,}"), HIDDEN),
)


def scrub(text: str) -> str:
    """The text without addresses, keys and tokens. One line of at most WORDS_CHARS_MAX."""
    if len(text) > _READ_CHARS_MAX:
        # What is cut in the middle could not be told for what it is.
        tail = _CUT_TAIL.match(text[_READ_CHARS_MAX - 1 :: -1])
        text = text[: _READ_CHARS_MAX - (tail.end() if tail else 0)]
    return " ".join(_plain(text).split())[:WORDS_CHARS_MAX]


def _plain(text: str) -> str:
    text = html.unescape(_TAG.sub(" ", text))
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " " if found[2] else "", text)
    # An address must go before what is escaped in it is made plain, and what was one escaped, afterwards.
    text = _without_secrets(clean_text(unquote(_without_secrets(text), errors="replace")))
    return unicodedata.normalize("NFC", text)


def _without_secrets(text: str) -> str:
    for pattern, mark in _SECRETS:
        text = pattern.sub(mark, text)
    return text
