"""The models as data: what each costs, takes and accepts. `catalogue.toml` holds them.

Used by the bot (price, model, photo limits) and by the worker (input builder, timing).
"""

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from events.errors import NeurocardsError
from services.adapters.kie.builders import BUILDERS

DEADLINE_S = 900


class CatalogueError(NeurocardsError):
    """catalogue.toml contradicts itself; the message says where."""


class ImageLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model accepts as a photo (JPEG, PNG or WebP). `ratio` is width / height."""

    size_bytes_max: int
    side_px_min: int
    side_px_max: int
    ratio_min: float
    ratio_max: float


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. `expected_s` is how long it usually renders, `deadline_s` when a job is given up."""

    slug: str
    title: str
    builder: str
    price_credits: int
    duration_s: int
    expected_s: int
    prompt_chars_max: int
    image: ImageLimits
    deadline_s: int = DEADLINE_S
    status: Literal["enabled", "paused"] = "enabled"
    people: bool = True
    adapts_to_photo: bool = False
    options: dict[str, Any] = {}

    @property
    def enabled(self) -> bool:
        return self.status == "enabled"

    def input(self, prompt: str, image_url: str) -> dict[str, Any]:
        """What createTask takes as `input` for this model."""
        return BUILDERS[self.builder](
            prompt[: self.prompt_chars_max], image_url, self.duration_s, self.options
        )


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models, in the order to offer them in."""

    models: tuple[Model, ...]
    default_slug: str = msgspec.field(name="default")

    @property
    def default(self) -> Model:
        """The model to use when nobody chose."""
        return next(model for model in self.models if model.slug == self.default_slug)

    def model(self, slug: str) -> Model | None:
        """The model, paused or not; None when the catalogue does not know it."""
        return next((model for model in self.models if model.slug == slug), None)


def parse_catalogue(text: str) -> Catalogue:
    """Read and check a catalogue. Raises CatalogueError."""
    try:
        catalogue = msgspec.toml.decode(text, type=Catalogue)
    except msgspec.DecodeError as error:
        raise CatalogueError(f"the catalogue cannot be read: {error}") from error
    slugs = [model.slug for model in catalogue.models]
    if len(set(slugs)) != len(slugs):
        raise CatalogueError("the catalogue names a model twice")
    for model in catalogue.models:
        if model.builder not in BUILDERS:
            raise CatalogueError(f"{model.slug}: there is no input builder {model.builder!r}")
        if not 0 < model.expected_s < model.deadline_s or model.price_credits < 1:
            raise CatalogueError(f"{model.slug}: expected_s must be below deadline_s, the price at least 1")
    default = catalogue.model(catalogue.default_slug)
    if default is None or not default.enabled:
        raise CatalogueError(f"the default model {catalogue.default_slug!r} is unknown or paused")
    return catalogue


@cache
def load_catalogue() -> Catalogue:
    """The catalogue this code ships with."""
    return parse_catalogue((files(__package__) / "catalogue.toml").read_text("utf-8"))
