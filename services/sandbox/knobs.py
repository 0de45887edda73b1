"""Settings the control API changes while the sandbox runs; kept in the store."""

from __future__ import annotations

from typing import Any

import msgspec

from events.errors import NeurocardsError
from services.sandbox.app import Context

_KIND = "sandbox"
_KEY = "knobs"

# Closed at KIE since June 2026; see docs of the provider's models.
_PAUSED = ("sora-2-image-to-video",)


class KnobError(NeurocardsError):
    """A setting that does not exist or cannot have this value."""


class Knobs(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Times are in seconds, prices in KIE credits."""

    render_seconds: float = 6.0  # 0: a task succeeds at once, with a small video
    small_videos: bool = False  # True: videos of a second that cost next to nothing to make
    balance: float = 1_000_000.0  # KIE credits left, over all keys
    keys_revoked: list[str] = []  # keys and tokens that no company takes any more
    keys_added: list[str] = []  # bot tokens and YooKassa secrets taken besides the first; of KIE any is good
    paused_models: list[str] = msgspec.field(default_factory=lambda: list(_PAUSED))
    rate_limit: int = 20  # KIE creations per key and 10 s; 0: no limit
    http_statuses: bool = False  # True: KIE errors carry a matching HTTP status instead of 200
    latency_seconds: float = 0.0  # added before every answer of createTask and recordInfo
    callback_hmac_key: str = ""  # signs KIE callbacks when not empty
    callback_retry_seconds: list[float] = msgspec.field(default_factory=lambda: [5.0, 15.0, 45.0])
    yookassa_notification_url: str = ""  # empty: no notifications are sent
    yookassa_events: list[str] = msgspec.field(
        default_factory=lambda: ["payment.succeeded", "payment.canceled", "refund.succeeded"]
    )
    yookassa_redelivery_seconds: list[float] = msgspec.field(
        default_factory=lambda: [10.0, 60.0, 300.0, 900.0, 3600.0]  # the last one repeats for 24 h
    )
    telegram_chat_rate: float = 200.0  # messages to one chat per second (about 1 in reality); 0: no limit
    telegram_chat_burst: int = 1000  # how many may come at once before that
    telegram_rate: float = 0.0  # messages to all chats per second (about 30 in reality); 0: no limit


def knobs(ctx: Context) -> Knobs:
    return msgspec.convert(ctx.settings.knobs | (ctx.store.get(_KIND, _KEY) or {}), Knobs)


def takes_key(ctx: Context, key: str, own: str) -> bool:
    """Whether a company takes `key`: its `own`, or one that was added, unless revoked."""
    now = knobs(ctx)
    return key not in now.keys_revoked and key in (own, *now.keys_added)


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
