"""Styles as data, and the fallback prompt: a template around the seller's words.

It has to do for a photo nobody has looked at: it names no place the photo may contradict, lifts nothing that
may be a wardrobe, and for models that refuse people does not even name them. The seller's words stand in the
middle, the rules after them.
"""

import re
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final

import msgspec

STYLES: Final = ("ugc", "commercial", "own")
OWN: Final = "own"
"""The style whose wishes are the prompt itself."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    asks: str
    chars_max: int


class PeopleWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words about people: one set for models that take them, one for those that refuse. `rule` is for the
    writing model; `action` and `never` are the template's; `close` ends a written prompt."""

    rule: str
    never: str
    close: str
    action: str = ""


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A style's texts. `$name` places are filled in by scripts.py and templates.py."""

    version: int
    instructions: str
    fields: tuple[Field, ...]
    prompt: str
    """The body of a written prompt, out of the fields."""
    fallback: str
    fallback_short: str
    allowed: PeopleWords
    refused: PeopleWords

    def people(self, allowed: bool) -> PeopleWords:
        return self.allowed if allowed else self.refused


class Frame(msgspec.Struct, frozen=True):
    """Limits of the video model: seconds, longest prompt, and whether it takes people."""

    duration_s: int
    chars_max: int
    people: bool


@cache
def style(name: str) -> Style:
    """The style's texts; an unfamiliar one gets those of `commercial`, which promises least."""
    name = name if name in STYLES else "commercial"
    return msgspec.toml.decode((files(__package__) / f"{name}.toml").read_bytes(), type=Style)


def template_name(name: str) -> str:
    """The name and version in events: `ugc@1`."""
    return f"{name}@{style(name).version}"


# Cutting and joining of texts. Lengths are in UTF-16 units, the shortest measure a provider may count by.


_JOINERS: Final = "\u200d\ufe0e\ufe0f"


def length(text: str) -> int:
    """Length as providers count it: an emoji counts as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clip(text: str, length_max: int) -> str:
    """Truncate to `length_max`, at a whole word."""
    if length(text) <= length_max:
        return text
    if length_max <= 1:
        return ""
    cut = _beginning(text, length_max - 1)
    return (cut.rpartition(" ")[0] or cut).rstrip(",;:-– " + _JOINERS) + "…"


def filled(template: str, **places: str) -> str:
    """Fill in the `$name` places; what is put there is never read as a template."""
    return Template(template).substitute(places)


def squeezed(text: str) -> str:
    """Join the files' line breaks; empty lines stay as paragraphs."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(part for part in paragraphs if part)


def sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?…" else text + "."


def _beginning(text: str, length_max: int) -> str:
    taken = 0
    for at, character in enumerate(text):
        taken += 2 if character > "\uffff" else 1
        if taken > length_max:
            return text[:at]
    return text


SHORT_BELOW: Final = 2600
"""Models that take less get the short template."""
PRODUCT_LENGTH_MAX: Final = 600
PRODUCT_LENGTH_MIN: Final = 80
"""Kept for the product where a prompt of the seller's own takes all the room."""
NO_PRODUCT: Final = "the thing in the photo, as it is"


def fallback(name: str, product: str, wishes: str, frame: Frame) -> str:
    """The fallback prompt with the seller's words, cut to fit."""
    texts, people = style(name), style(name).people(frame.people)
    template = texts.fallback_short if frame.chars_max < SHORT_BELOW else texts.fallback
    fixed = {
        "duration_s": str(frame.duration_s),
        "people_action": people.action,
        "people_never": people.never,
    }
    # With a letter in each place: empty ones would take a space or a paragraph with them.
    room = frame.chars_max + 2 - length(squeezed(filled(template, product="x", wishes="x", **fixed)))
    if name == OWN:  # the wishes are the prompt: they come first when room is short
        told = clip(sentence(wishes if _says(wishes) else product), max(0, room - PRODUCT_LENGTH_MIN))
        about = clip(_phrase(product), min(PRODUCT_LENGTH_MAX, room - length(told)))
    else:
        about = clip(_phrase(product), min(PRODUCT_LENGTH_MAX, room))
        told = clip(f"The seller's wish: {sentence(wishes)}" if _says(wishes) else "", room - length(about))
    return squeezed(filled(template, product=about, wishes=told, **fixed))


def _phrase(text: str) -> str:
    return " ".join(text.split()).rstrip(".! ") if _says(text) else NO_PRODUCT


def _says(text: str) -> bool:
    """Emoji alone say nothing."""
    return any(map(str.isalnum, text))
