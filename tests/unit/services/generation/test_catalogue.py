"""Every model's input against the schema its page documents."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.generation.catalogue import CatalogueError, ImageLimits, Model, load_catalogue, parse_catalogue
from services.sandbox.kie.models import price
from tests.support.each import each

SCHEMAS: dict[str, dict[str, Any]] = {
    slug: page["input"]
    for page in json.loads((Path(__file__).parent / "models.json").read_text("utf-8"))
    for slug in page["model"]
}
TYPES: dict[str, Any] = {"string": str, "array": list, "boolean": bool, "integer": int, "number": float}
MODELS = load_catalogue().models
PHOTO = "https://tempfile.example.com/images/cup.jpg"


@each("model", MODELS)
def test_the_input_fits_the_schema(model: Model) -> None:
    schema = SCHEMAS[model.slug]
    given = model.task_input("a cup of tea " * 5000, PHOTO)
    assert set(given) <= set(schema), "a field the model does not know"
    assert {name for name, field in schema.items() if field["required"]} <= set(given)
    for name, value in given.items():
        field = schema[name]
        assert type(value) is TYPES[field["type"]], name
        if "enum" in field:
            assert value in field["enum"], name
        if "maxLength" in field:
            assert len(value) <= field["maxLength"], name
        if "maxItems" in field:
            assert len(value) <= field["maxItems"], name


@each("model", MODELS)
def test_the_photo_and_the_whole_prompt_are_in_it(model: Model) -> None:
    given = model.task_input("a cup", PHOTO)
    assert given["prompt"] == "a cup"
    assert PHOTO in json.dumps(given)
    schema = SCHEMAS[model.slug]["prompt"]
    assert model.prompt_chars_max == schema.get("maxLength", model.prompt_chars_max)


@each("model", MODELS)
def test_a_video_is_vertical_or_as_the_photo(model: Model) -> None:
    schema, given = SCHEMAS[model.slug], model.task_input("a cup", PHOTO)
    if model.adapts_to_photo:
        assert "aspect_ratio" not in schema
    else:
        assert given["aspect_ratio"] in ("9:16", "portrait")


@each("model", MODELS)
def test_a_video_is_made_in_the_ordered_format_and_length(model: Model) -> None:
    plain, schema = model.task_input("a cup", PHOTO), SCHEMAS[model.slug]
    for sides in model.formats or (model.format,):
        for asked_s in range(1, 16):
            given = model.task_input("a cup", PHOTO, sides, asked_s)
            made_s = model.length_for(asked_s)
            differs = {name: value for name, value in given.items() if value != plain[name]}
            assert set(differs) <= {"aspect_ratio", "duration", "n_frames"}
            assert str(made_s or model.duration_s) in map(str, given.values())
            assert made_s is None or made_s >= asked_s, "nobody gets a shorter one than was paid for"
            assert all(value in schema[name].get("enum", [value]) for name, value in given.items())
            assert [type(value) for value in given.values()] == [type(value) for value in plain.values()]
    assert model.takes("16:9", 0) is (model.adapts_to_photo or "16:9" in model.formats)


def test_the_price_follows_the_length() -> None:
    model = load_catalogue().default
    assert [model.price(s) for s in (0, 1, 5, 6, 10, 11)] == [1, 1, 1, 2, 2, 3]


def test_an_alternative_makes_no_shorter_video() -> None:
    catalogue = load_catalogue()
    for s in (5, 10, 12):
        mine, *others = catalogue.candidates(catalogue.default, "9:16", s)
        assert mine is catalogue.default and all((other.length_for(s) or 0) >= s for other in others)


def test_the_default_is_alive_and_sora_is_not() -> None:
    catalogue = load_catalogue()
    assert catalogue.default.enabled
    sora = catalogue.model("sora-2-image-to-video")
    assert sora is not None and not sora.enabled
    assert catalogue.model("nobody/knows-this") is None


def test_every_model_that_is_offered_has_an_alternative_that_is() -> None:
    catalogue = load_catalogue()
    for model in catalogue.models:
        if model.enabled:
            mine, *others = catalogue.candidates(model)
            assert mine is model and others and all(other.enabled for other in others)


def test_the_sandbox_takes_what_the_catalogue_says() -> None:
    for model in load_catalogue().models:
        taken = price(model.slug, model.task_input("p", "https://x.test/p.jpg"))
        assert taken == model.provider_credits, model.slug


def test_a_model_that_is_not_offered_leaves_its_alternatives() -> None:
    text = 'default = "b"\n' + entry(status="paused", alternatives='["b"]') + entry(slug="b")
    catalogue = parse_catalogue(text)
    assert [model.slug for model in catalogue.candidates(catalogue.models[0])] == ["b"]


@each(
    ("size", "taken"),
    [
        ((1000, 600, 800), True),
        ((1001, 600, 800), False),
        ((1000, 299, 300), False),
        ((1000, 2001, 2001), False),
        ((1000, 400, 1001), False),
    ],
)
def test_which_photos_a_model_takes(size: tuple[int, int, int], taken: bool) -> None:
    assert ImageLimits(1000, 300, 2000, 0.4, 2.5).take(*size) == taken


BROKEN = [
    ('default = "m"\nmodels = []', "unknown or paused"),
    ("not toml at all", "cannot be read"),
]


@each(("text", "reason"), BROKEN)
def test_a_broken_catalogue_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CatalogueError, match=reason):
        parse_catalogue(text)


IMAGE = "{size_bytes_max=1, side_px_min=1, side_px_max=2, ratio_min=0.1, ratio_max=2}"


def entry(
    fields: str = 'photo = "$photo", duration = "5"',
    price: int = 1,
    status: str = "enabled",
    slug: str = "m",
    alternatives: str = "[]",
    people: str = "true",
) -> str:
    return (
        f'[[models]]\nslug="{slug}"\ntitle="M"\ninput={{{fields}}}\nprice_credits={price}\n'
        f'provider_credits=5\nstatus="{status}"\n'
        f"duration_s=5\nexpected_s=60\nprompt_chars_max=100\nimage={IMAGE}\n"
        f"alternatives={alternatives}\npeople={people}\n"
    )


def test_contradictions_are_refused() -> None:
    default = 'default = "m"\n'
    assert parse_catalogue(default + entry()).default.slug == "m"
    for text, reason in [
        (entry(fields="duration = 5"), "one place for"),
        (entry(fields='a = "$photo", b = ["$photo"], duration = 5'), "one place for"),
        (entry(fields='photo = "$photo", duration = "8"'), "another duration"),
        (entry(price=0), "at least 1"),
        (entry(status="paused"), "unknown or paused"),
        (entry() + entry(), "twice"),
        (entry(alternatives='["x"]'), "unknown"),
        (entry(alternatives='["m"]'), "another model"),
        (entry(alternatives='["b", "b"]') + entry(slug="b"), "named once"),
        (entry(alternatives='["b"]') + entry(slug="b", price=2), "higher price"),
        (entry(alternatives='["b"]') + entry(slug="b", people="false"), "refuses the people"),
    ]:
        with pytest.raises(CatalogueError, match=reason):
            parse_catalogue(default + text)
