"""KIE's models: accepted input (`models.json`, `extra_models.json`) and price."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from services.sandbox.kie.answers import KieError

Schema = Mapping[str, Mapping[str, Any]]

# In the order in which one is taken as the photo that moves.
IMAGE_FIELDS = ("image_urls", "image_url", "first_frame_url", "input_urls", "reference_image_urls")
_OTHER_IMAGE_FIELDS = ("last_frame_url", "end_image_url")

# Rules the tables do not hold: duration limits read in the models' pages.
_DURATION_LIMITS = {
    "bytedance/seedance-2": (4, 15),
    "bytedance/seedance-2-fast": (4, 15),
    "bytedance/seedance-2-5": (4, 30),
}
_REFUSES_RATIO = ("wan/2-7-image-to-video", "kling/v3-turbo-image-to-video")


@cache
def schemas() -> Mapping[str, Schema]:
    found: dict[str, Schema] = {}
    for name in ("models.json", "extra_models.json"):
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        for entry in json.loads(text):
            found.update(dict.fromkeys(entry["model"], entry["input"]))
    return found


def openapi(model: str) -> dict[str, Any]:
    """The OpenAPI document of a model's input, as its page links it."""
    rules = {name: dict(rule) for name, rule in schemas()[model].items()}
    needed = [name for name, rule in rules.items() if rule.pop("required", False)]
    if model in _DURATION_LIMITS:
        low, high = _DURATION_LIMITS[model]
        rules["duration"] |= {"minimum": low, "maximum": high}
    fields = {"type": "object", "properties": rules, "required": needed}
    body = {"type": "object", "properties": {"model": {"enum": [model]}, "input": fields}}
    content = {"application/json": {"schema": body}}
    calls = {"/api/v1/jobs/createTask": {"post": {"requestBody": {"content": content}}}}
    return {"openapi": "3.1.0", "paths": calls}


def check_input(model: str, given: dict[str, Any]) -> None:
    """Raises KieError, with a sentence like the provider's."""
    for name, rule in schemas()[model].items():
        value = given.get(name)
        if value is None or value == "":
            if rule.get("required") and not _excused(model, name, given):
                raise KieError(500, f"{name} is required")
        else:
            _check_value(name, value, rule)
    _check_together(model, given)


def image_urls(given: dict[str, Any]) -> list[str]:
    """Every picture the input names, the one to animate first."""
    found: list[str] = []
    for name in IMAGE_FIELDS + _OTHER_IMAGE_FIELDS:
        value = given.get(name)
        values = value if isinstance(value, list) else [value]
        found += [str(url) for url in values if url is not None and url != ""]
    return found


def _excused(model: str, name: str, given: dict[str, Any]) -> bool:
    # Its page: the ratio adapts to the image when there is one.
    return model == "kling-3.0/video" and name == "aspect_ratio" and bool(given.get("image_urls"))


def _check_value(name: str, value: Any, rule: Mapping[str, Any]) -> None:
    wanted = rule.get("type")
    if wanted is not None and not _is(value, wanted):
        raise KieError(500, f"{name} must be of type {wanted}")
    if "enum" in rule and value not in rule["enum"]:
        raise KieError(500, f"{name} is not within the range of allowed options")
    if isinstance(value, str):
        if len(value) > rule.get("maxLength", len(value)):
            raise KieError(500, f"The text length cannot exceed the maximum limit: {name}")
        if len(value) < rule.get("minLength", 0):
            raise KieError(500, f"The text length cannot be less than {rule['minLength']}: {name}")
    if isinstance(value, list):
        _check_list(name, value, rule)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = rule.get("minimum", value), rule.get("maximum", value)
        if not low <= value <= high:
            raise KieError(500, f"{name} must be between {low} and {high}")
    for url in image_urls({name: value}):
        if not url.startswith(("http://", "https://")):
            raise KieError(500, f"{name} must be a public http(s) URL")


def _check_list(name: str, value: list[Any], rule: Mapping[str, Any]) -> None:
    if rule.get("required") and not value and name in IMAGE_FIELDS:
        raise KieError(500, f"{name} is required")
    if len(value) > rule.get("maxItems", len(value)):
        raise KieError(500, f"{name} exceeds the maximum number of items: {rule['maxItems']}")
    if len(value) < rule.get("minItems", 0):
        raise KieError(500, f"{name} needs at least {rule['minItems']} items")


def _check_together(model: str, given: dict[str, Any]) -> None:
    if model in _REFUSES_RATIO and "aspect_ratio" in given:
        raise KieError(422, "ratio is not supported for image-to-video")
    low, high = _DURATION_LIMITS.get(model, (0, 0))
    duration = given.get("duration")
    if high and duration is not None and not low <= duration <= high:
        raise KieError(500, f"duration must be between {low} and {high}")
    pair = (given.get("duration"), given.get("resolution"))
    if model.startswith("hailuo/2-3") and pair == ("10", "1080P"):
        raise KieError(500, "duration 10 is not supported with resolution 1080P")
    if given.get("first_frame_url") and given.get("reference_image_urls"):
        raise KieError(500, "first_frame_url and reference_image_urls are mutually exclusive")


def _is(value: Any, wanted: str) -> bool:
    if wanted == "boolean":
        return isinstance(value, bool)
    if wanted in ("integer", "number"):
        return isinstance(value, int if wanted == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "array": list, "object": dict}[wanted])


# KIE credits of the models in our catalogue; of the others only the order of size matters.
_PER_SECOND = {
    "bytedance/seedance-2": 25.0,
    "bytedance/seedance-2-5": 63.0,
    "bytedance/seedance-2-mini": 20.5,
    "bytedance/seedance-2-fast": 20.0,
    "bytedance/seedance-1.5-pro": 8.0,
    "bytedance/v1-pro-fast-image-to-video": 4.0,
    "kling-2.6/image-to-video": 10.0,
    "kling-3.0/video": 13.0,
    "hailuo/2-3-image-to-video-standard": 4.0,
    "wan/2-7-image-to-video": 5.0,
    "sora-2-image-to-video": 3.0,
}
_OTHER_PER_SECOND = 6.0
_DURATION_DEFAULT_S = 5.0


def price(model: str, given: dict[str, Any]) -> float:
    return round(_PER_SECOND.get(model, _OTHER_PER_SECOND) * _duration_s(given), 2)


def _duration_s(given: dict[str, Any]) -> float:
    for name in ("duration", "n_frames"):
        value = given.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and value.isdecimal():
            return float(value)
    return _DURATION_DEFAULT_S
