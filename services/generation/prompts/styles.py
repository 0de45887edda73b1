"""Styles as data (`styles.toml`): names, models, formats, lengths, and the texts they are made of."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import msgspec

from events.errors import NeurocardsError
from services.generation.catalogue import Catalogue, Model

FORMATS: Final = {
    "9:16": "vertical 9:16",
    "1:1": "square 1:1",
    "16:9": "horizontal 16:9",
    "photo": "in the photo's own proportions",
}
"""Formats that can be offered, as a prompt says them. `photo`: the model takes the photo's."""
DEFAULT: Final = "commercial"
"""What an unfamiliar style is made as: it promises least."""

Format = Literal["9:16", "1:1", "16:9"]


class StyleError(NeurocardsError):
    """styles.toml or a style's texts contradict themselves; the message says where."""


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A style on offer; see the head of `styles.toml`."""

    mark: str
    name: dict[str, str]
    line: dict[str, str]
    models: tuple[str, ...]
    people: Literal["none", "hands", "yes"]
    formats: tuple[Format, ...]
    seconds: tuple[int, ...]
    own_prompt: bool = False
    template: str = ""
    example: str = ""

    def makers(self, catalogue: Catalogue, sides: str = "", seconds: int = 0) -> list[Model]:
        """Enabled models for such a video, in order of preference."""
        named = (catalogue.model(slug) for slug in self.models)
        return [m for m in named if m is not None and m.enabled and m.takes(sides, seconds)]


@cache
def load_styles() -> Mapping[str, Style]:
    return parse_styles((files(__package__) / "styles.toml").read_text("utf-8"))


def parse_styles(text: str) -> Mapping[str, Style]:
    """Parse styles. Raises StyleError."""
    try:
        return msgspec.toml.decode(text, type=dict[str, Style])
    except msgspec.DecodeError as error:
        raise StyleError(f"the styles cannot be read: {error}") from error


def example_of(name: str) -> Path | None:
    """The owner's clip or picture of a style; None: there is none."""
    style = load_styles().get(name)
    return Path(__file__).parent / style.example if style is not None and style.example else None


def style_of(name: str) -> Style:
    """The style; for an unfamiliar name the default one, or the first where an owner has removed that."""
    styles = load_styles()
    return styles.get(name) or styles.get(DEFAULT) or next(iter(styles.values()))
