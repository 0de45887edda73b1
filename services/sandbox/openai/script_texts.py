"""Believable advertising English about a product: the same words for the same product, always."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

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
    """The product's description in the person's own words, as far as it can be told from the messages."""
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
    """A string for a field of this name."""
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
