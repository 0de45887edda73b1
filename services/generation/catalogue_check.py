"""The catalogue against what the provider says of its models: input and price. Pure."""

import itertools
import re
from decimal import Decimal
from typing import Any, Final

from services.generation.catalogue import Model

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip


def input_drift(model: Model, document: Any) -> list[str]:
    """Differences of our input from the provider's OpenAPI document."""
    schema = _input_schema(document)
    if schema is None:
        return ["the provider tells no schema"]
    known, found = schema["properties"], []
    for format, seconds in itertools.product(model.formats or ("",), model.lengths_s or (0,)):
        fields = model.task_input("a prompt", "https://example.com/photo.jpg", format, seconds)
        found += [f"{name} is needed" for name in schema.get("required", ()) if name not in fields]
        for name, value in fields.items():
            found += [f"{name}: {wrong}" for wrong in _wrong(value, known.get(name))]
    most = known.get("prompt", {}).get("maxLength", model.prompt_chars_max)
    if most < model.prompt_chars_max:
        found.append(f"prompt: at most {most} characters, not {model.prompt_chars_max}")
    return list(dict.fromkeys(found))


def price_drift(model: Model, said: str) -> str:
    """The price in the provider's words; empty: ours, a video's or a second's, is in them."""
    told = {Decimal(number) for number in re.findall(r"\d+(?:\.\d+)?", said)}
    whole = Decimal(model.provider_credits)
    return "" if told & {whole, whole / model.duration_s} else said or "no price is told"


def _input_schema(document: Any) -> dict[str, Any] | None:
    """The first object in it that has a property `prompt`."""
    if isinstance(document, dict):
        properties = document.get("properties")
        if isinstance(properties, dict) and "prompt" in properties:
            return document
        document = list(document.values())
    parts = document if isinstance(document, list) else []
    return next((found for part in parts if (found := _input_schema(part)) is not None), None)


def _wrong(value: Any, rule: dict[str, Any] | None) -> list[str]:
    if rule is None:
        return ["it is not known"]
    kind = rule.get("type")
    if kind in _TYPES and (not isinstance(value, _TYPES[kind]) or (kind != "boolean" and value is True)):
        return [f"{value!r} is no {kind}"]
    if "enum" in rule and value not in rule["enum"]:
        return [f"{value!r} is none of {', '.join(map(str, rule['enum']))}"]
    if type(value) is int and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        return [f"{value} is out of its range"]
    return []
