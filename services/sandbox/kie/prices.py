"""What a task costs in KIE credits: seen prices, rounded; only the order of size matters here."""

from __future__ import annotations

from typing import Any

from services.sandbox.knobs import Knobs

_PER_SECOND = {
    "bytedance/seedance-2": 25.0,
    "bytedance/seedance-2-fast": 20.0,
    "bytedance/seedance-2-mini": 8.2,
    "bytedance/seedance-1.5-pro": 8.0,
    "bytedance/v1-pro-fast-image-to-video": 4.0,
    "kling-2.6/image-to-video": 10.0,
    "kling/v3-turbo-image-to-video": 18.0,
    "kling-3.0/video": 13.0,
    "kling-3.0-omni/image-to-video": 14.0,
    "hailuo/2-3-image-to-video-standard": 4.0,
    "hailuo/2-3-image-to-video-pro": 8.0,
    "minimax-h3/image-to-video": 16.0,
    "wan/2-7-image-to-video": 5.0,
    "wan/2-6-image-to-video": 4.0,
    "wan/3-0-video-prime": 12.2,
    "grok-imagine/image-to-video": 2.4,
    "sora-2-image-to-video": 3.0,
}
_PER_TASK = {"veo3": 250.0, "veo3_fast": 60.0, "veo3_lite": 30.0}
_OTHER_PER_SECOND = 6.0
_DURATION_DEFAULT_S = 5.0


def price(model: str, given: dict[str, Any], settings: Knobs) -> float:
    """Credits for one task of this model with this input."""
    fixed = settings.prices.get(model, _PER_TASK.get(model))
    if fixed is not None:
        return fixed
    return round(_PER_SECOND.get(model, _OTHER_PER_SECOND) * _duration_s(given), 2)


def _duration_s(given: dict[str, Any]) -> float:
    for name in ("duration", "n_frames"):
        value = given.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and value.isdecimal():
            return float(value)
    return _DURATION_DEFAULT_S
