"""The catalogue against the provider's schemas and prices: what differs is said, model by model."""

from typing import Any

import pytest

from services.generation.catalogue import load_catalogue
from services.generation.catalogue_check import input_drift, price_drift
from services.sandbox.kie.models import openapi

MODEL = load_catalogue().default


def test_ours_is_what_the_sandbox_tells_which_has_the_providers_pages() -> None:
    assert {
        model.slug: drift
        for model in load_catalogue().models
        if (drift := input_drift(model, openapi(model.slug)))
    } == {}


def changed(name: str, **rule: Any) -> Any:
    document = openapi(MODEL.slug)
    body = document["paths"]["/api/v1/jobs/createTask"]["post"]["requestBody"]["content"]["application/json"]
    fields = body["schema"]["properties"]["input"]
    if rule.pop("required", False):
        fields["required"].append(name)
    fields["properties"][name] = fields["properties"].get(name, {}) | rule
    if rule.get("type") == "gone":
        del fields["properties"][name]
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "the provider tells no schema"),
        ([{"deep": [1]}], "the provider tells no schema"),
        (changed("first_frame_url", type="gone"), "first_frame_url: it is not known"),
        (changed("mode", required=True), "mode is needed"),
        (changed("duration", type="string"), "duration: 5 is no string"),
        (changed("duration", maximum=10), "duration: 12 is out of its range"),
        (changed("generate_audio", type="integer"), "generate_audio: True is no integer"),
        (changed("aspect_ratio", enum=["9:16", "16:9"]), "aspect_ratio: '1:1' is none of 9:16, 16:9"),
        (changed("prompt", maxLength=300), "prompt: at most 300 characters, not 20000"),
    ],
)
def test_what_the_provider_does_not_take_is_named(document: Any, said: str) -> None:
    assert said in input_drift(MODEL, document)


def test_a_price_stands_in_the_prose_for_a_second_or_a_video_or_is_quoted() -> None:
    for same in ("720p: 20 credits per second, 480p: 9.5", "a 5 s video is 100 credits (~$0.50)"):
        assert price_drift(MODEL, same) == ""
    assert price_drift(MODEL, "720p: 28 credits per second") == "720p: 28 credits per second"
    assert price_drift(MODEL, "") == "no price is told"
