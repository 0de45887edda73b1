"""Scrub outside text for events and logs: addresses, secrets, private words.

The outside repeats what it was sent, escaped for JSON (once or more), for HTML, for an address, cut anywhere.
So text is made plain first, then searched.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from events.codec import clean_text
from events.job import MESSAGE_CHARS_MAX

HIDDEN: Final = "…"
_READ_CHARS_MAX: Final = 16 * MESSAGE_CHARS_MAX
_CUT_TAIL: Final = re.compile(r"[\w%&;:.\\/+=-]{0,400}")
_ESCAPE: Final = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|([nrtbf])|(?=[\"'/]))")
_TAG: Final = re.compile(r"<[/!]?[A-Za-z][^<>]{0,300}>|<!--.{0,300}?-->")
_SECRETS: Final = (
    (re.compile(r"[a-z0-9+.-]{0,21}://[^\s\"'<>]*", re.IGNORECASE), "[url]"),
    (re.compile(r"\bbearer\s+[^\s\"',<>]+", re.IGNORECASE), f"Bearer {HIDDEN}"),
    (re.compile(r"(?<!\d)\d{6,20}:[A-Za-z0-9_-]{20,}"), HIDDEN),  # Telegram's tokens
    (re.compile(r"(?<![\w-])(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{32,}"), HIDDEN),
)
_WORD: Final = re.compile(r"\w+")
_PRIVATE_RUN_WORDS: Final = 3
_HARMLESS_CHARS: Final = 3


def scrub(text: str, private: Iterable[str] = ()) -> str:
    """At most MESSAGE_CHARS_MAX of the text, without secrets and `private` words.

    Addresses, keys and tokens go. Of private texts every run of three words, and every shorter text as a
    whole, is blacked out. Idempotent.
    """
    if len(text) > _READ_CHARS_MAX:
        # What is cut in the middle could not be told for what it is.
        tail = _CUT_TAIL.match(text[_READ_CHARS_MAX - 1 :: -1])
        text = text[: _READ_CHARS_MAX - (tail.end() if tail else 0)]
    text = _plain(text)
    runs = _runs(private)
    while (hidden := _blacked_out(text, runs)) != text:
        text = hidden  # what was hidden may have stood between two words of another run
    return " ".join(text.split())[:MESSAGE_CHARS_MAX]


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


def _runs(private: Iterable[str]) -> set[tuple[str, ...]]:
    runs: set[tuple[str, ...]] = set()
    for secret in private:
        words = _words(_plain(secret))
        size = min(len(words), _PRIVATE_RUN_WORDS)
        if len("".join(words)) > _HARMLESS_CHARS:
            runs.update(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
    return runs


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _blacked_out(text: str, runs: set[tuple[str, ...]]) -> str:
    places = list(_WORD.finditer(text))
    said = [place[0].casefold() for place in places]
    hidden: set[int] = set()
    for at in range(len(said)):
        for size in range(1, _PRIVATE_RUN_WORDS + 1):
            if tuple(said[at : at + size]) in runs:
                hidden.update(range(at, min(at + size, len(said))))
    for at in sorted(hidden, reverse=True):
        # From the end, so that the places before stay right; neighbours melt into one mark.
        end = places[at + 1].start() if at + 1 in hidden else places[at].end()
        text = text[: places[at].start()] + ("" if at + 1 in hidden else HIDDEN) + text[end:]
    return text
