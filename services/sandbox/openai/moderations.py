"""`POST /v1/moderations`: flags texts with a word, and photos of one colour.

`flagged-by-moderation:sexual/minors` flags for that category, the word alone for violence. A photo is flagged
for graphic violence when its mean colour is near magenta, so a person can try it with any picture painted so.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohttp import web
from PIL import Image

from services.sandbox.app import Context
from services.sandbox.openai import errors
from services.sandbox.openai.chat import digest

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_TEXT_ONLY = frozenset(
    name for name in _CATEGORIES if name.split("/")[0] in ("harassment", "hate", "illicit")
)
_TEXT_ONLY |= {"sexual/minors"}
_WORD = "flagged-by-moderation"
_WORD_ALONE = "violence"
_COLOUR = "violence/graphic"
_COLOUR_REACH = 60
"""How far, in each of red, green and blue."""


class _Input(NamedTuple):
    texts: Sequence[str]
    pictures: Sequence[str] = ()


def routes(ctx: Context) -> list[web.RouteDef]:
    async def moderate(request: web.Request) -> web.StreamResponse:
        body = await errors.json_object(request)
        inputs = _inputs((body or {}).get("input"))
        said = "\n".join(text for each in inputs for text in each.texts)
        refused = await errors.refused(ctx, request, "moderations", prompt=said)
        if isinstance(refused, web.Response):
            return refused
        if body is None:
            return errors.not_json()
        if not inputs:
            return errors.bad_request("'input' is a required property", "input")
        try:
            results = [_result(each, _found(each)) for each in inputs]
        except (OSError, ValueError, binascii.Error):
            return errors.bad_request("Invalid image data.", "input", "invalid_image")
        model = str(body.get("model", "omni-moderation-latest"))
        return errors.good({"id": digest("modr-", body), "model": model, "results": results})

    return [web.post("/v1/moderations", moderate)]


def _inputs(given: Any) -> list[_Input]:
    """One for a string or typed parts; one per listed string."""
    if isinstance(given, str):
        return [_Input([given])]
    if not isinstance(given, list) or not given:
        return []
    if all(isinstance(item, str) for item in given):
        return [_Input([item]) for item in given]
    parts = [part for part in given if isinstance(part, dict)]
    urls = [part["image_url"].get("url", "") for part in parts if isinstance(part.get("image_url"), dict)]
    return [_Input([str(part["text"]) for part in parts if "text" in part], [str(url) for url in urls])]


def _found(each: _Input) -> set[str]:
    found = set[str]()
    for text in each.texts:
        _, hit, rest = text.lower().partition(_WORD)
        if hit:
            named = rest.removeprefix(":").split()[:1] if rest.startswith(":") else []
            found |= {name for name in named if name in _CATEGORIES} or {_WORD_ALONE}
    return found | {_COLOUR for url in each.pictures if _is_magenta(_mean_colour(url))}


def _mean_colour(url: str) -> tuple[int, ...]:
    """Of a picture in a data URL; others are not fetched, and grey. Raises OSError, ValueError."""
    if not url.startswith("data:"):
        return (127, 127, 127)
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True))) as image:
        pixel = image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def _is_magenta(colour: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= _COLOUR_REACH for a, b in zip(colour, (255, 0, 255), strict=True))


def _result(each: _Input, found: set[str]) -> dict[str, Any]:
    bad = {name: name in found for name in _CATEGORIES}
    kinds = (["text"] if each.texts else []) + (["image"] if each.pictures else [])
    return {
        "flagged": bool(found),
        "categories": bad,
        "category_scores": {name: 0.98 if is_bad else 0.0001 for name, is_bad in bad.items()},
        "category_applied_input_types": {
            name: [kind for kind in kinds if kind == "text" or name not in _TEXT_ONLY] for name in _CATEGORIES
        },
    }
