"""OpenAI's models: snapshots of aliases, shutdown dates, which of them reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.sandbox.openai import errors


@dataclass(frozen=True)
class Model:
    """`snapshot`: what answers call it. `reasons`: hidden thoughts count against an answer's cap."""

    created: int
    snapshot: str = ""
    shutdown_date: str | None = None
    reasons: bool = False


_4O_MINI = Model(1_721_172_741, "gpt-4o-mini-2024-07-18", "2027-01-14")
_4O = Model(1_715_367_049, "gpt-4o-2024-08-06")
MODELS = {
    "gpt-6-luna": Model(1_791_936_000, reasons=True),
    "gpt-4o-mini": _4O_MINI,
    "gpt-4o-mini-2024-07-18": _4O_MINI,
    "gpt-4o": _4O,
    "gpt-4o-2024-08-06": _4O,
    "omni-moderation-latest": Model(1_731_689_265),
}
_THOUGHT_TOKENS = {
    "none": 0, "minimal": 300, "low": 1500, "medium": 6000, "high": 12_000, "xhigh": 24_000, "max": 48_000
}  # fmt: skip
"""By effort. What is asked of nobody in particular is thought about at `medium`."""


def snapshot(name: str) -> str:
    return MODELS[name].snapshot or name if name in MODELS else name


def listed(name: str) -> dict[str, Any]:
    model = MODELS[name]
    return {
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": "system",
        "shutdown_date": model.shutdown_date,
    }


def thought_tokens(name: str, effort: Any) -> int:
    """Hidden tokens before the answer; `effort` None is the default."""
    thinks = name in MODELS and MODELS[name].reasons
    return _THOUGHT_TOKENS[effort or "medium"] if thinks else 0


def effort_problem(name: str, effort: Any) -> web.Response | None:
    """Refusal of an effort this model does not take; unknown models take any."""
    if effort is None or name not in MODELS:
        return None
    if not MODELS[name].reasons:
        return errors.bad_request("Unrecognized request argument supplied: reasoning_effort")
    if not isinstance(effort, str) or effort not in _THOUGHT_TOKENS:
        text = f"Unsupported value: 'reasoning_effort' does not support {effort!r} with this model."
        return errors.bad_request(text, "reasoning_effort", "unsupported_value")
    return None
