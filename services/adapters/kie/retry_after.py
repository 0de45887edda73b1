"""When the provider wants to be asked again: in the header, as seconds or as a date, or in its own JSON."""

import math
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

_DAY_S: Final = 86_400.0
_NAMES: Final = ("retryAfter", "retry_after")


def retry_after(headers: httpx.Headers, envelope: dict[str, Any] | None = None) -> float | None:
    """The seconds from now, a day at most; None when nothing (sensible) was said. The longest wish counts."""
    data = (envelope or {}).get("data")
    told = [source.get(name) for source in (envelope, data) if isinstance(source, dict) for name in _NAMES]
    header = headers.get("retry-after", "")
    wishes = [_seconds(wish) for wish in (header, *told)] + [_until(header, headers.get("date", ""))]
    return max((wish for wish in wishes if wish is not None), default=None)


def _seconds(wish: Any) -> float | None:
    if isinstance(wish, bool) or not isinstance(wish, int | float | str):
        return None
    try:
        seconds = float(wish)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _DAY_S) if math.isfinite(seconds) and seconds >= 0 else None


def _until(wish: str, now: str) -> float | None:
    """Both by the provider's clock: ours may be wrong."""
    try:
        seconds = (parsedate_to_datetime(wish) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _DAY_S)
