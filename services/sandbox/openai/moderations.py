"""`POST /v1/moderations`: flags what holds the word of the setting `moderation_word`."""

from __future__ import annotations

from itertools import chain
from typing import Any

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.knobs import knobs
from services.sandbox.openai import failures
from services.sandbox.openai.answers import digest

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
_FLAGGED_AS = "violence"


def routes(ctx: Context) -> list[web.RouteDef]:
    async def moderate(request: web.Request) -> web.StreamResponse:
        body = await failures.json_object(request)
        inputs = _inputs((body or {}).get("input"))
        refused = await failures.refused(ctx, request, "moderations", prompt="\n".join(chain(*inputs)))
        if isinstance(refused, web.Response):
            return refused
        if body is None:
            return failures.not_json()
        if not inputs:
            return failures.bad_request("'input' is a required property", "input")
        word = knobs(ctx).moderation_word.lower()
        results = [_result(any(word in text.lower() for text in texts)) for texts in inputs]
        model = str(body.get("model", "omni-moderation-latest"))
        return failures.good({"id": digest("modr-", body), "model": model, "results": results})

    return [web.post("/v1/moderations", moderate)]


def _inputs(given: Any) -> list[list[str]]:
    """Texts per result: one result for a string or for typed parts, one for each string of a list."""
    if isinstance(given, str):
        return [[given]]
    if not isinstance(given, list) or not given:
        return []
    if all(isinstance(item, str) for item in given):
        return [[item] for item in given]
    return [[str(part.get("text", "")) for part in given if isinstance(part, dict)]]


def _result(flagged: bool) -> dict[str, Any]:
    bad = {name: flagged and name == _FLAGGED_AS for name in _CATEGORIES}
    return {
        "flagged": flagged,
        "categories": bad,
        "category_scores": {name: 0.98 if is_bad else 0.0001 for name, is_bad in bad.items()},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
