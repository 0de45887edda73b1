"""Settings the control API changes while the sandbox runs; kept in the store."""

from __future__ import annotations

from typing import Any

import msgspec

from events.errors import NeurocardsError
from services.sandbox.app import Context

_KIND = "sandbox"
_KEY = "knobs"

# Closed at KIE since June 2026; see docs of the provider's models.
_PAUSED = [
    "sora-2-image-to-video",
    "sora-2-text-to-video",
    "sora-2-pro-image-to-video",
    "sora-2-pro-text-to-video",
    "sora-2-pro-storyboard",
]


class KnobError(NeurocardsError):
    """A setting that does not exist or cannot have this value."""


class Knobs(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Times are in seconds, prices in KIE credits."""

    render_seconds: float = 6.0  # 0: a task succeeds at once, with a small video
    small_videos: bool = False  # True: videos of a second that cost next to nothing to make
    balance: float = 1_000_000.0  # KIE credits left, over all keys
    prices: dict[str, float] = {}  # KIE credits per task by model; the rest from kie/models.py
    paused_models: list[str] = msgspec.field(default_factory=lambda: list(_PAUSED))
    rate_limit: int = 20  # KIE creations per key and window; 0: no limit
    rate_window_seconds: float = 10.0
    read_limit: int = 0  # KIE recordInfo calls per key and second (10 in reality); 0: no limit
    http_statuses: bool = False  # True: KIE errors carry a matching HTTP status instead of 200
    latency_seconds: float = 0.0  # added before every answer of createTask and recordInfo
    result_ttl_seconds: float = 86_400.0  # KIE result URLs answer 404 later
    upload_ttl_seconds: float = 259_200.0  # KIE uploads answer 404 later
    callback_hmac_key: str = ""  # signs KIE callbacks when not empty
    callback_retry_seconds: list[float] = msgspec.field(default_factory=lambda: [5.0, 15.0, 45.0])
    callback_timeout_seconds: float = 15.0
    moderation_word: str = "flagged-by-moderation"  # also with a category: `flagged-by-moderation:hate`
    moderation_colour: str = "#ff00ff"  # photos whose mean colour is near it are flagged
    yookassa_notification_url: str = ""  # empty: no notifications are sent
    yookassa_events: list[str] = msgspec.field(
        default_factory=lambda: [
            "payment.succeeded",
            "payment.waiting_for_capture",
            "payment.canceled",
            "refund.succeeded",
        ]
    )
    yookassa_source_ip: str = "185.71.76.5"  # X-Forwarded-For of genuine notifications
    yookassa_redelivery_seconds: list[float] = msgspec.field(
        default_factory=lambda: [10.0, 60.0, 300.0, 900.0, 3600.0]  # the last one repeats for 24 h
    )
    yookassa_notify_timeout_seconds: float = 10.0
    yookassa_payment_ttl_seconds: float = 3600.0
    yookassa_capture_ttl_seconds: float = 604_800.0
    telegram_chat_rate: float = 200.0  # messages to one chat per second (about 1 in reality); 0: no limit
    telegram_chat_burst: int = 1000  # how many may come at once before that


def knobs(ctx: Context) -> Knobs:
    changed = ctx.store.get(_KIND, _KEY) or {}
    at_start = {
        "render_seconds": ctx.settings.render_seconds,
        "yookassa_notification_url": ctx.settings.yookassa_notification_url,
        "callback_hmac_key": ctx.settings.kie_webhook_hmac_key,
        "telegram_chat_rate": ctx.settings.telegram_chat_rate,
        "telegram_chat_burst": ctx.settings.telegram_chat_burst,
    }
    return msgspec.convert(at_start | changed, Knobs)


def change_knobs(ctx: Context, changes: dict[str, Any]) -> Knobs:
    """Change settings, all or none; null restores a default. Raises KnobError."""
    merged = {**(ctx.store.get(_KIND, _KEY) or {}), **changes}
    merged = {name: value for name, value in merged.items() if value is not None}
    unknown = sorted(set(changes) - set(Knobs.__struct_fields__))
    if unknown:
        raise KnobError(f"no setting {', '.join(unknown)}; there are: {', '.join(Knobs.__struct_fields__)}")
    try:
        checked = msgspec.convert(merged, Knobs)
    except msgspec.ValidationError as error:
        raise KnobError(str(error)) from error
    for name, value in msgspec.to_builtins(checked).items():
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, int | float) and number < 0 for number in numbers):
            raise KnobError(f"{name} may not be negative")
    ctx.store.put(_KIND, _KEY, merged)
    return knobs(ctx)
