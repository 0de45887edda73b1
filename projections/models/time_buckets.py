"""Hours and days, in UTC: they follow from an event alone, so no setting can change a state root. Pure."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(time_us: int) -> int:
    """Where the hour of a time begins. Epoch microseconds, both."""
    return time_us - time_us % HOUR_US


def hour_name(time_us: int) -> str:
    """`2026-11-30T12`."""
    return _name(time_us // HOUR_US)


def day_name(time_us: int) -> str:
    """`2026-11-30`."""
    return _name(time_us // DAY_US * 24)[:10]


@lru_cache(maxsize=1024)
def _name(hour: int) -> str:
    return (_EPOCH + timedelta(hours=hour)).isoformat()[:13]
