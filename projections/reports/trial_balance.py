"""Trial balance of the whole system at any moment (`audit.books`)."""

from typing import Any

import msgspec

from events.codec import EVENT_TYPES
from events.errors import UnknownEventTypeError
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.reports.log_position import NOW, AsOf, LogPosition, locate

query = load_queries("projections.reports")


class BookLine(msgspec.Struct, frozen=True):
    """An account of the books, or `accounts` users: credits in and out."""

    account: str
    accounts: int
    debits: int
    credits: int
    balance: int


class TrialBalance(msgspec.Struct, frozen=True):
    """Every account at a moment. In sound books `total` is zero."""

    moment: LogPosition
    lines: tuple[BookLine, ...]

    @property
    def total(self) -> int:
        return sum(line.balance for line in self.lines)


async def trial_balance(reader: Reader, point: AsOf = NOW, *, by_account: bool = False) -> TrialBalance:
    """Trial balance at a point, users in one line unless `by_account`. Raises UnknownEventTypeError."""
    at, asked = await trial_balance_query(reader, point, by_account=by_account)
    return TrialBalance(at, tuple(BookLine(*row) for row in await reader.fetch(*asked)))


async def trial_balance_query(
    reader: Reader, point: AsOf, *, by_account: bool
) -> tuple[LogPosition, tuple[Any, ...]]:
    """Moment, statement and its arguments, for who reads line by line. Raises UnknownEventTypeError."""
    at = await locate(reader, point)
    unknown = await reader.fetchrow(query("unknown_types"), at.position, list(EVENT_TYPES))
    if unknown is not None:
        raise UnknownEventTypeError(unknown["type"], unknown["position"])
    name = "trial_balance_accounts" if by_account else "trial_balance"
    return at, (query(name), at.position, at.time_us)
