"""The styles as data, and the frame a video model sets."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

STYLES: Final = ("ugc", "commercial", "own")
OWN: Final = "own"
"""The style whose wishes are the prompt itself."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a style's script: what the writing model puts there, and how long that may be."""

    name: str
    asks: str
    chars_max: int


class PeopleWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of people; one set for models that take them, one for those that refuse them.

    `rule` is for the writing model; `action` and `never` are the template's; `close` ends a written prompt.
    """

    rule: str
    never: str
    close: str
    action: str = ""


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One style's texts. `$name` places are filled in by scripts.py and templates.py."""

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
        """The words for a model that takes people, or for one that refuses them."""
        return self.allowed if allowed else self.refused


class Frame(msgspec.Struct, frozen=True):
    """What the video model can do: seconds, longest prompt, and whether it takes people."""

    duration_s: int
    chars_max: int
    people: bool


@cache
def style(name: str) -> Style:
    """The style's texts; those of `commercial`, which promises least, for a style nobody knows."""
    name = name if name in STYLES else "commercial"
    return msgspec.toml.decode((files(__package__) / f"{name}.toml").read_bytes(), type=Style)


def template_name(name: str) -> str:
    """How events name the texts: `ugc@1`."""
    return f"{name}@{style(name).version}"
