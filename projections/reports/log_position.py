"""As-of position: a place in the log, and the time for expiries.

An auditor names a position or a time. A time includes what was recorded at or before it; a lot expired by
then does not count, whenever its expiry was booked.
"""

import msgspec

from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError

query = load_queries("projections.reports")


class LogPosition(msgspec.Struct, frozen=True):
    """`position` is the last that counts, 0 for none. Times are epoch microseconds.

    `asked_us` is later than `time_us` when a time was asked for that has not come yet.
    """

    position: int
    time_us: int
    asked_us: int = 0

    @property
    def not_come_yet(self) -> bool:
        return self.asked_us > self.time_us


class AsOf(msgspec.Struct, frozen=True):
    """A position, a time, or, with neither, now."""

    position: int | None = None
    time_us: int | None = None

    def before(self) -> "AsOf":
        if self.position is not None:
            return AsOf(position=self.position - 1)
        return AsOf(time_us=self.time_us - 1) if self.time_us is not None else self


NOW = AsOf()


async def locate(reader: Reader, point: AsOf = NOW) -> LogPosition:
    """Where the point is in the log. Raises NothingOfThatNameError for a position beyond the log's end."""
    row = await reader.fetchrow(query("log_position"), point.position, point.time_us)
    assert row is not None
    if point.position is not None and point.position > row["head"]:
        raise NothingOfThatNameError(f"there is no position {point.position}: the log ends at {row['head']}")
    return LogPosition(row["position"], row["time_us"], point.time_us or 0)
