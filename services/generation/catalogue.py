"""Catalogue of models: price, input, limits, timing; data in `catalogue.toml`."""

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from events.errors import NeurocardsError

DEADLINE_S = 900
_WORDS = {"portrait": "9:16", "landscape": "16:9"}
"""What some models call a format."""


class CatalogueError(NeurocardsError):
    """catalogue.toml contradicts itself; the message says where."""


class ImageLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model accepts as a photo (JPEG, PNG or WebP). `ratio` is width / height."""

    size_bytes_max: int
    side_px_min: int
    side_px_max: int
    ratio_min: float
    ratio_max: float

    def take(self, size_bytes: int, width: int, height: int) -> bool:
        return (
            size_bytes <= self.size_bytes_max
            and self.side_px_min <= min(width, height)
            and max(width, height) <= self.side_px_max
            and self.ratio_min <= width / height <= self.ratio_max
        )


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A video model. `expected_s`: usual rendering time; `deadline_s`: a job is given up.

    `input` is what createTask takes beside the prompt, `$photo` standing for the photo's address.
    `price_credits` a seller pays in our credits, `provider_credits` we pay in the provider's. `alternatives`
    are slugs of models that may make the video in its place, the best first. `formats` and `lengths_s` can be
    asked for; none: only its own.
    """

    slug: str
    title: str
    price_credits: int
    provider_credits: int
    duration_s: int
    expected_s: int
    prompt_chars_max: int
    input: dict[str, Any]
    image: ImageLimits
    deadline_s: int = DEADLINE_S
    status: Literal["enabled", "paused"] = "enabled"
    people: bool = True
    adapts_to_photo: bool = False
    alternatives: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    lengths_s: tuple[int, ...] = ()

    @property
    def enabled(self) -> bool:
        return self.status == "enabled"

    @property
    def format(self) -> str:
        """Sides of its videos, e.g. `9:16`; `photo`: as the photo's."""
        asked = str(self.input.get("aspect_ratio", "photo"))
        return _WORDS.get(asked, asked)

    def sides(self, format: str) -> str:
        """Sides of a video ordered in this format; an empty one asks for its own."""
        return "photo" if self.adapts_to_photo else format or self.format

    def length_for(self, seconds: int) -> int | None:
        """Shortest length it makes that is not below `seconds`; its own for 0."""
        lengths = sorted(self.lengths_s or (self.duration_s,))
        return next((s for s in lengths if s >= seconds), None) if seconds else self.duration_s

    def takes(self, format: str, seconds: int) -> bool:
        """Whether it makes videos of this format and length; an empty one and 0 ask for nothing."""
        sides = not format or self.adapts_to_photo or format in (self.formats or (self.format,))
        return sides and self.length_for(seconds) is not None

    def price(self, seconds: int) -> int:
        """Price in credits of a video of so many seconds: in proportion, rounded up."""
        return -(-self.price_credits * (seconds or self.duration_s) // self.duration_s)

    def cost_milli(self, seconds: int) -> int:
        """The same at the provider, in thousandths of its credits."""
        made_s = self.length_for(seconds) or seconds
        return -(-self.provider_credits * 1000 * made_s // self.duration_s)

    def task_input(self, prompt: str, image_url: str, format: str = "", seconds: int = 0) -> dict[str, Any]:
        """Input of createTask; format and length as ordered, where it takes them."""
        fields = {name: _with_photo(value, image_url) for name, value in self.input.items()}
        asked = fields.get("aspect_ratio")
        if asked is not None and format not in ("", "photo", self.format):
            words = {ratio: word for word, ratio in _WORDS.items()} if asked in _WORDS else {}
            fields["aspect_ratio"] = words.get(format, format)
        if made := self.length_for(seconds):
            length = {self.duration_s: made, str(self.duration_s): str(made)}
            fields |= {name: length[v] for name, v in fields.items() if type(v) in (int, str) and v in length}
        return {"prompt": prompt[: self.prompt_chars_max], **fields}


def _with_photo(value: Any, image_url: str) -> Any:
    match value:
        case "$photo":
            return image_url
        case ["$photo"]:
            return [image_url]
        case _:
            return value


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models, in the order to offer them in."""

    models: tuple[Model, ...]
    default_slug: str = msgspec.field(name="default")

    @property
    def default(self) -> Model:
        return next(model for model in self.models if model.slug == self.default_slug)

    def model(self, slug: str) -> Model | None:
        """The model, paused or not; None when it is not in the catalogue."""
        return next((model for model in self.models if model.slug == slug), None)

    def candidates(self, model: Model, format: str = "", seconds: int = 0) -> tuple[Model, ...]:
        """Enabled models that may stand in for `model`, in order of preference."""
        others = (self.model(slug) for slug in model.alternatives)
        named = (each for each in (model, *others) if each is not None and each.enabled)
        return tuple(each for each in named if each is model or each.takes(format, seconds))


def parse_catalogue(text: str) -> Catalogue:
    """Parse and check a catalogue. Raises CatalogueError."""
    try:
        catalogue = msgspec.toml.decode(text, type=Catalogue)
    except msgspec.DecodeError as error:
        raise CatalogueError(f"the catalogue cannot be read: {error}") from error
    slugs = [model.slug for model in catalogue.models]
    if len(set(slugs)) != len(slugs):
        raise CatalogueError("the catalogue names a model twice")
    for model in catalogue.models:
        values = list(model.input.values())
        if values.count("$photo") + values.count(["$photo"]) != 1:
            raise CatalogueError(f"{model.slug}: `input` has one place for $photo")
        if not {model.duration_s, str(model.duration_s)} & {v for v in values if isinstance(v, int | str)}:
            raise CatalogueError(f"{model.slug}: `input` asks for another duration than duration_s")
        if not 0 < model.expected_s < model.deadline_s:
            raise CatalogueError(f"{model.slug}: expected_s must be below deadline_s")
        if min(model.price_credits, model.provider_credits) < 1:
            raise CatalogueError(f"{model.slug}: the price is at least 1, ours and the provider's")
        _check_alternatives(catalogue, model)
    default = catalogue.model(catalogue.default_slug)
    if default is None or not default.enabled:
        raise CatalogueError(f"the default model {catalogue.default_slug!r} is unknown or paused")
    return catalogue


def _check_alternatives(catalogue: Catalogue, model: Model) -> None:
    if model.slug in model.alternatives or len(set(model.alternatives)) != len(model.alternatives):
        raise CatalogueError(f"{model.slug}: an alternative is another model, and is named once")
    for slug in model.alternatives:
        other = catalogue.model(slug)
        if other is None:
            raise CatalogueError(f"{model.slug}: the alternative {slug!r} is unknown")
        if other.price_credits > model.price_credits:
            raise CatalogueError(f"{model.slug}: the alternative {slug} has a higher price")
        if model.people and not other.people:
            raise CatalogueError(f"{model.slug}: the alternative {slug} refuses the people in its prompts")


@cache
def load_catalogue() -> Catalogue:
    return parse_catalogue((files(__package__) / "catalogue.toml").read_text("utf-8"))
