"""What a text means while an order card waits for a tap. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from services.generation.prompts.styles import Style

Topic = Literal["price", "time", "formats", "where"]

QUESTION_CHARS_MAX: Final = 80
"""A longer text is a description, whatever it asks."""
_AGREED: Final = {
    "да", "ок", "окей", "ага", "давай", "давайте", "создать", "создай", "создавай", "поехали",
    "yes", "ok", "okay", "yep", "sure", "go", "create",
}  # fmt: skip
_TOPICS: Final[Mapping[Topic, re.Pattern[str]]] = {
    "where": re.compile(r"\bгде\b.*\bвидео|не пришло|where.*\bvideos?\b|did not (come|arrive)"),
    "price": re.compile(r"сколько стоит|\bцен[аыу]\b|стоимость|почём|how much|\bprices?\b|\bcosts?\b"),
    "time": re.compile(
        r"как долго|сколько (ждать|времени|по времени)|когда .*готов|how long|when .*\bready\b"
    ),
    "formats": re.compile(r"\bформат|какого размера|\bformats?\b|\baspect\b|vertical or"),
}


class Chosen(msgspec.Struct, frozen=True):
    """The name of a style."""

    style: str


class Agreed(msgspec.Struct, frozen=True):
    """Yes, to what the create button does."""


class Asked(msgspec.Struct, frozen=True):
    """A frequent question."""

    topic: Topic


Intent = Chosen | Agreed | Asked
"""What a text may mean beside being words for the order."""


def intent_of(text: str, styles: Mapping[str, Style]) -> Intent | None:
    """What the text means; None: words, if anything."""
    said = _plain(text)
    for key, style in styles.items():
        if said in {_plain(name) for name in (key, *style.name.values())}:
            return Chosen(key)
    if said in _AGREED:
        return Agreed()
    return question_in(text)


def question_in(text: str) -> Asked | None:
    """The frequent question that a short text asks."""
    said = text.casefold()
    if len(text) > QUESTION_CHARS_MAX or "?" not in text:
        return None
    return next((Asked(topic) for topic, words in _TOPICS.items() if words.search(said)), None)


def _plain(text: str) -> str:
    """Reduce a text to letters and digits, in lower case."""
    kept = (c if c.isalnum() else " " for c in unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(kept).split()).replace("ё", "е")
