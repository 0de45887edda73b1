"""Texts from people: cleaned of what shows nothing, disturbs or deceives; counted; escaped for HTML.

Removed: control characters, BiDi controls (they turn the text around them), zero-width fillers, private use
code points, lone surrogates, NUL. Kept: every script, emoji with their joiners and variations.
"""

import html
import re
import unicodedata
from typing import Final

from events.codec import clean_text

TEXT_CHARS_MAX: Final = 1500
LETTERS_MIN: Final = 2
SPLIT_CHARS: Final = 4096
"""A client cuts a longer text into messages of this length."""

_KEPT_FORMAT: Final = {"\u200c", "\u200d"}  # joiners: emoji and Persian need them
_BLANK: Final = dict.fromkeys(map(ord, "\u115f\u1160\u2800\u3164\uffa0"), " ")
_DROPPED: Final = {"Cc", "Cf", "Cs", "Co"}
_MARKS_MAX: Final = 4


def tidy(text: str) -> str:
    """The text as it is kept: NFC, no hidden characters, at most one empty line in a row."""
    text = unicodedata.normalize("NFC", clean_text(text).replace("\r\n", "\n").translate(_BLANK))
    text = "".join(_plain(character) for character in text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", _without_towers(text)).strip()


def says_something(text: str) -> bool:
    """Whether there is a word in it: at least LETTERS_MIN letters or digits of any script."""
    return sum(character.isalnum() for character in text) >= LETTERS_MIN


def quote(text: str, chars_max: int | None = None) -> str:
    """The text for an HTML message, cut to `chars_max` characters before it is escaped."""
    if chars_max is not None and len(text) > chars_max:
        text = text[: chars_max - 1].rstrip("\u200d ") + "…"
    return html.escape(text, quote=False)


def _plain(character: str) -> str:
    if character == "\n" or character in _KEPT_FORMAT:
        return character
    if character == "\t" or unicodedata.category(character) in ("Zl", "Zp"):
        return " "
    return "" if unicodedata.category(character) in _DROPPED else character


def _without_towers(text: str) -> str:
    """Not more than _MARKS_MAX combining marks on one letter."""
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS_MAX:
            kept.append(character)
    return "".join(kept)
