"""Structured output: texts about a product, for a schema of one object of strings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from events.errors import NeurocardsError


class SchemaError(NeurocardsError):
    """A schema that strict structured output refuses; the message is the API's."""


def check_strict(name: str, schema: Any) -> None:
    """Raises SchemaError unless the object closes itself and requires all its properties.

    Properties that are not strings are refused too: the API takes more than the product asks for.
    """
    if not isinstance(schema, dict):
        raise _invalid(name, "schema must be a JSON Schema object.")
    kind = schema.get("type")
    if kind != "object":
        raise _invalid(name, f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'.")
    if schema.get("additionalProperties") is not False:
        raise _invalid(
            name, "In context=(), 'additionalProperties' is required to be supplied and to be false."
        )
    properties = schema.get("properties", {})
    missing = sorted(set(properties) - set(schema.get("required", [])))
    if missing:
        raise _invalid(
            name,
            "In context=(), 'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{missing[0]}'.",
        )
    for key, value in properties.items():
        if not isinstance(value, dict) or value.get("type") != "string":
            raise _invalid(name, f"In context=('properties', '{key}'), this sandbox knows only strings.")


def _invalid(name: str, problem: str) -> SchemaError:
    return SchemaError(f"Invalid schema for response_format '{name}': {problem}")


def fill(schema: dict[str, Any], product: str) -> dict[str, str]:
    return {name: text_for(name, product) for name in schema.get("properties", {})}


_FENCED = re.compile(r"(?is)<product>\s*(.+?)\s*</product>")
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
            return _short(fenced.group(1))
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return _short(lines[0]) if lines else _FALLBACK_PRODUCT


def text_for(field: str, product: str) -> str:
    made = (make(product) for part, make in _MAKERS.items() if part in field.lower())
    return next(made, _beats(product))


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
    "camera": lambda p: _Pick(p)(_MOVES).capitalize(),
    "light": lambda p: _Pick(p)(_LIGHTS).capitalize(),
    "place": lambda p: _Pick(p)(_PLACES).capitalize(),
    "setting": lambda p: _Pick(p)(_PLACES).capitalize(),
    "backdrop": lambda p: _Pick(p)(_PLACES).capitalize(),
    "product": lambda p: p,
}
