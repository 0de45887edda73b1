"""Structured output: values that fit a JSON schema, about a product."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from events.errors import NeurocardsError

_DEPTH_MAX = 12
_FORMATS = {
    "date": "2026-11-22",
    "date-time": "2026-11-22T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT5S",
    "email": "hello@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class SchemaError(NeurocardsError):
    """A schema that strict structured output refuses; the message is the API's."""


def check_strict(name: str, schema: Any, path: tuple[str, ...] = ()) -> None:
    """Raises SchemaError unless every object closes itself and requires all its properties."""
    if not isinstance(schema, dict):
        raise SchemaError(
            f"Invalid schema for response_format '{name}': schema must be a JSON Schema object."
        )
    if len(path) > _DEPTH_MAX:
        raise SchemaError(f"Invalid schema for response_format '{name}': nested too deeply.")
    if not path and schema.get("type") != "object":
        given = schema.get("type")
        raise SchemaError(
            f"Invalid schema for response_format '{name}': schema must be a JSON Schema of "
            f"'type: \"object\"', got 'type: \"{given}\"'."
        )
    if schema.get("type") == "object" or "properties" in schema:
        _check_object(name, schema, path)
    for key in ("items", "anyOf", "$defs", "definitions", "properties"):
        inner = schema.get(key, [])
        children = list(inner.items()) if isinstance(inner, dict) and key != "items" else []
        children += list(enumerate(inner)) if isinstance(inner, list) else []
        children += [("items", inner)] if key == "items" and isinstance(inner, dict) else []
        for child, value in children:
            check_strict(name, value, (*path, key, str(child)))


def _check_object(name: str, schema: dict[str, Any], path: tuple[str, ...]) -> None:
    where = f"In context=({', '.join(repr(part) for part in path)})"
    if schema.get("additionalProperties") is not False:
        raise SchemaError(
            f"Invalid schema for response_format '{name}': {where}, 'additionalProperties' is required to be "
            "supplied and to be false."
        )
    missing = sorted(set(schema.get("properties", {})) - set(schema.get("required", [])))
    if missing:
        raise SchemaError(
            f"Invalid schema for response_format '{name}': {where}, 'required' is required to be supplied "
            f"and to be an array including every key in properties. Missing '{missing[0]}'."
        )


def fill(schema: dict[str, Any], product: str) -> Any:
    return _Filler(schema, product).value(schema, "prompt", 0)


class _Filler:
    def __init__(self, root: dict[str, Any], product: str) -> None:
        self._root = root
        self._product = product

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _DEPTH_MAX:
            return None
        if "$ref" in schema:
            return self.value(self._resolve(str(schema["$ref"])), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            options = [o for o in schema.get(key, []) if isinstance(o, dict) and o.get("type") != "null"]
            if options:
                return self.value(options[0], name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        if kind == "object" or (kind is None and "properties" in schema):
            properties = schema.get("properties", {})
            return {key: self.value(inner, key, depth + 1) for key, inner in properties.items()}
        if kind == "array":
            count = min(max(schema.get("minItems", 1), 1), schema.get("maxItems", 50))
            return [self.value(schema.get("items", {}), name, depth + 1) for _ in range(count)]
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._text(schema, name)

    def _text(self, schema: dict[str, Any], name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = text_for(name, self._product)
        while len(text) < schema.get("minLength", 0):
            text += " " + text
        return text[: schema.get("maxLength", len(text))]

    def _resolve(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part and isinstance(found, dict):
                found = found.get(part.replace("~1", "/").replace("~0", "~"))
        return found


def _number(schema: dict[str, Any], whole: bool) -> int | float:
    """Between the bounds, or one beside the only one there is: right also when they are exclusive."""
    low: Any = schema.get("minimum", schema.get("exclusiveMinimum"))
    high: Any = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        value = (low + high) / 2
    elif low is not None:
        value = low + 1.0
    else:
        value = 5.0 if high is None else high - 1.0
    return int(value) if whole else float(value)


_LABELLED = re.compile(
    r"(?im)^[\s*#>-]*(?:product(?: text| description| name)?|description|товар|описание(?: товара)?|название)"
    r"\s*[:=]\s*(.+)$"
)
_FENCED = re.compile(r"(?is)<(product|description)>\s*(.+?)\s*</\1>")
_PRODUCT_LENGTH_MAX = 160
_FALLBACK_PRODUCT = "the product in the photo"

_LIGHTS = (
    "soft morning window light",
    "warm golden-hour sunlight",
    "clean, diffused studio light",
    "bright daylight in a cosy kitchen",
)
_MOVES = (
    "a slow push-in that ends on a close-up",
    "a gentle orbit from left to right",
    "a smooth handheld follow shot",
    "a slow tilt from the base to the top",
)
_PLACES = (
    "on a light wooden table with a blurred plant behind it",
    "on a seamless pastel backdrop",
    "in a tidy, lived-in living room",
    "on a stone counter beside a linen napkin",
)
_ENDINGS = (
    "The last second holds still on the product, sharp and centred.",
    "It ends on the logo side, perfectly in focus.",
    "The final frame leaves calm space above for a caption.",
)


def product_of(texts: list[str]) -> str:
    for text in reversed(texts):
        if fenced := _FENCED.search(text):
            return _short(fenced.group(2))
        if labelled := _LABELLED.search(text):
            return _short(labelled.group(1))
    for text in reversed(texts):
        if lines := [line.strip() for line in text.splitlines() if line.strip()]:
            return _short(lines[0])
    return _FALLBACK_PRODUCT


def text_for(field: str, product: str) -> str:
    name = field.lower()
    for part, make in _MAKERS.items():
        if part in name:
            return make(product)
    return _scene(product)


def _scene(product: str) -> str:
    pick = _Pick(product)
    return (
        f"Vertical 9:16 product commercial for {product}. The product from the photo stands "
        f"{pick(_PLACES)}, lit by {pick(_LIGHTS)}; its shape, colours and label stay exactly as in the "
        f"photo. The camera makes {pick(_MOVES)}, revealing texture and small details, with natural "
        f"reflections and a shallow depth of field. No people's faces, no added text, no other brands. "
        f"{pick(_ENDINGS)}"
    )


def _beats(product: str) -> str:
    pick = _Pick(product)
    return (
        f"0-1 s: exactly the photo, {product} stands still. 1-4 s: {pick(_MOVES)} while {pick(_LIGHTS)} "
        "slides over its surface. 4-5 s: it holds still, sharp and centred."
    )


def _short(text: str) -> str:
    return " ".join(text.strip().strip("\"'«»").split())[:_PRODUCT_LENGTH_MAX] or _FALLBACK_PRODUCT


class _Pick:
    """Chooses by the product's hash: varied between products, stable for one."""

    def __init__(self, product: str) -> None:
        self._digest = hashlib.sha256(product.encode("utf-8", "replace")).digest()
        self._at = 0

    def __call__(self, options: tuple[str, ...]) -> str:
        self._at += 1
        return options[self._digest[self._at] % len(options)]


_MAKERS: dict[str, Callable[[str], str]] = {
    "handling": _beats,
    "action": _beats,
    "idea": lambda p: f"{p.capitalize()} comes alive in calm, true light.",
    "detail": lambda p: "The texture of its surface, close and sharp.",
    "accent": lambda p: "none",
    "finish": lambda p: _Pick(p)(_ENDINGS[:2]),
    "sound": lambda p: "Quiet room tone.",
    "move": lambda p: _Pick(p)(_MOVES).capitalize(),
    "place": lambda p: _Pick(p)(_PLACES).capitalize(),
    "backdrop": lambda p: _Pick(p)(_PLACES).capitalize(),
    "negative": lambda p: "blurry, distorted label, extra text, watermark, other brands, faces",
    "title": lambda p: f"Meet {p}",
    "hook": lambda p: f"You will want {p} today",
    "caption": lambda p: f"{p}: small thing, big difference.",
    "slogan": lambda p: f"{p}. Made for every day.",
    "camera": lambda p: _Pick(p)(_MOVES).capitalize(),
    "light": lambda p: _Pick(p)(_LIGHTS).capitalize(),
    "setting": lambda p: _Pick(p)(_PLACES).capitalize(),
    "background": lambda p: _Pick(p)(_PLACES).capitalize(),
    "product": lambda p: p,
    "name": lambda p: p,
    "language": lambda p: "en",
    "cta": lambda p: "Order today",
    "call_to_action": lambda p: "Order today",
    "voice": lambda p: f"This is {p}. Look how well it is made.",
    "reason": lambda p: "Shows the product clearly and keeps its look unchanged.",
    "tag": lambda p: "product",
}
