"""Texts of the styles, and the fallback prompt: a template around the seller's words.

It has to do for a photo nobody has looked at: it names no place the photo may contradict, lifts nothing that
may be a wardrobe, and for models that refuse people does not even name them. The seller's words stand in the
middle, the rules after them.
"""

import math
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template as Places
from typing import Final, TypeVar

import msgspec

from services.generation.catalogue import Catalogue
from services.generation.prompts.styles import DEFAULT, FORMATS, StyleError, example_of, load_styles, style_of

T = TypeVar("T")

LINE_LENGTH_MAX: Final = 900
"""Of what a style says of itself on the card: a caption has 1,024 characters."""
EXAMPLES: Final = (".mp4", ".jpg", ".png")
EXAMPLE_BYTES_MAX: Final = 10_000_000


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


class Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all styles say; a style may say it in its own way."""

    version: int
    instructions: str
    fallback: str
    fallback_short: str
    fields: tuple[Field, ...]


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A style's texts. `$name` places are filled in by scripts.py and templates.py.

    `prompt` is the body of a written prompt, out of the fields; `scene` that of the fallback. Without
    `allowed` nobody is seen even where the model takes people.
    """

    version: int
    prompt: str
    refused: PeopleWords
    allowed: PeopleWords | None = None
    style: str = ""
    scene: str = ""
    scene_short: str = ""
    instructions: str = ""
    fallback: str = ""
    fallback_short: str = ""
    fields: tuple[Field, ...] = ()

    def people(self, allowed: bool) -> PeopleWords:
        return self.allowed if allowed and self.allowed is not None else self.refused


class Frame(msgspec.Struct, frozen=True):
    """Limits of the video: seconds, longest prompt, whether the model takes people, and its format."""

    duration_s: int
    chars_max: int
    people: bool
    format: str = "9:16"

    @property
    def sides(self) -> str:
        """The format in words."""
        return FORMATS.get(self.format, FORMATS["photo"])


@cache
def template(name: str) -> Template:
    """The style's texts, with what all have in common. Raises StyleError."""
    common = _read("common", Common)
    style = style_of(name)
    own = _read(style.template or (name if name in load_styles() else DEFAULT), Template)
    said = {field.name for field in own.fields}
    return msgspec.structs.replace(
        own,
        instructions=_with(own.instructions or common.instructions, style=own.style.strip()),
        fallback=own.fallback or _with(common.fallback, scene=own.scene.strip()),
        fallback_short=own.fallback_short or _with(common.fallback_short, scene=own.scene_short.strip()),
        fields=(*(field for field in common.fields if field.name not in said), *own.fields),
    )


def template_name(name: str) -> str:
    """The name and versions in events: `ugc@3.1`, its own and that of what all have in common."""
    return f"{name}@{template(name).version}.{_read('common', Common).version}"


def check_styles(catalogue: Catalogue) -> None:
    """Check every style with its texts against the models. Raises StyleError."""
    for name, style in load_styles().items():
        if not re.fullmatch("[a-z0-9_]{1,20}", name):
            raise StyleError(f"{name}: a style's key is 1 to 20 of a-z, 0-9 and _, or no button can carry it")
        unknown = [slug for slug in style.models if catalogue.model(slug) is None]
        if unknown:
            raise StyleError(f"{name}: there is no model {', '.join(unknown)}")
        if not all(style.makers(catalogue, sides, s) for sides in style.formats for s in style.seconds):
            raise StyleError(f"{name}: no enabled model of it takes each of its formats and lengths")
        if not (style.formats and style.seconds and {"ru", "en"} <= style.name.keys() & style.line.keys()):
            raise StyleError(f"{name}: a style has formats, lengths, and a name and a line in ru and en")
        if max(map(length, (*style.name.values(), *style.line.values()))) > LINE_LENGTH_MAX:
            raise StyleError(f"{name}: its line has more than {LINE_LENGTH_MAX} characters")
        example = example_of(name)
        if example is not None and not (example.suffix in EXAMPLES and _size(example) <= EXAMPLE_BYTES_MAX):
            raise StyleError(f"{name}: {style.example} is no {EXAMPLES} of up to 10 MB beside styles.toml")
        texts = template(name)
        places = dict.fromkeys((field.name for field in texts.fields), "")
        try:
            filled(texts.prompt, **places)
            fallback(name, "a mug", "steam", Frame(5, SHORT_BELOW, people=False))
            fallback(name, "a mug", "steam", Frame(5, SHORT_BELOW - 1, people=True))
        except (KeyError, ValueError) as error:
            raise StyleError(f"{name}: its texts have a place that is no field: {error}") from error


def _size(path: Path) -> float:
    return path.stat().st_size if path.is_file() else math.inf


def _with(template: str, **places: str) -> str:
    """Fill in some places and leave the others."""
    return Places(template).safe_substitute(places)


def _read(name: str, kind: type[T]) -> T:
    try:
        return msgspec.toml.decode((files(__package__) / f"{name}.toml").read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise StyleError(f"{name}.toml cannot be read: {error}") from error


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
    return Places(template).substitute(places)


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
    texts = template(name)
    people = texts.people(frame.people)
    form = texts.fallback_short if frame.chars_max < SHORT_BELOW else texts.fallback
    fixed = {
        "duration_s": str(frame.duration_s),
        "sides": frame.sides,
        "people_action": people.action,
        "people_never": people.never,
    }
    # With a letter in each place: empty ones would take a space or a paragraph with them.
    room = frame.chars_max + 2 - length(squeezed(filled(form, product="x", wishes="x", **fixed)))
    if style_of(name).own_prompt:  # the wishes are the prompt: they come first when room is short
        told = clip(sentence(wishes if _says(wishes) else product), max(0, room - PRODUCT_LENGTH_MIN))
        about = clip(_phrase(product), min(PRODUCT_LENGTH_MAX, room - length(told)))
    else:
        about = clip(_phrase(product), min(PRODUCT_LENGTH_MAX, room))
        told = clip(f"The seller's wish: {sentence(wishes)}" if _says(wishes) else "", room - length(about))
    return squeezed(filled(form, product=about, wishes=told, **fixed))


def _phrase(text: str) -> str:
    return " ".join(text.split()).rstrip(".! ") if _says(text) else NO_PRODUCT


def _says(text: str) -> bool:
    """Emoji alone say nothing."""
    return any(map(str.isalnum, text))
