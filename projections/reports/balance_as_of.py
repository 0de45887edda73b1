"""An account's balance as of any moment, by the ledger's fold."""

from collections.abc import Iterable

import msgspec

from events.account import AccountEvent
from events.codec import decode_data
from events.stream_names import account_stream
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState, evolve
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.engine.errors import NoSuchAccountError, UnfoldableEventError
from projections.reports.log_position import NOW, AsOf, LogPosition, locate

query = load_queries("projections.reports")

Row = tuple[int, int, str, str, int]
"""Position, version, type, data, time."""


class BalanceAt(msgspec.Struct, frozen=True):
    """Spendable credits: `lots` less `debt`. `unbooked`: expired, not booked yet."""

    account: str
    moment: LogPosition
    balance: int
    debt: int
    unbooked: int
    lots: tuple[Lot, ...]


def fold_account(rows: Iterable[Row], state: AccountState | None = None) -> AccountState:
    """Fold an account's events. Raises UnknownEventTypeError and CodecError."""
    state = state or AccountState()
    for position, _, type_name, data, _ in rows:
        state = evolve(state, account_event(type_name, data, position))
    return state


def account_event(type_name: str, data: str, position: int) -> AccountEvent:
    event = decode_data(type_name, data, position)
    if not isinstance(event, AccountEvent):
        raise UnfoldableEventError(f"{type_name} at position {position} is no account's event")
    return event


def balance_of(account: str, state: AccountState, at: LogPosition) -> BalanceAt:
    alive = tuple(lot for lot in state.lots if not lot.dead(at.time_us))
    balance = state.available(at.time_us)
    return BalanceAt(account, at, balance, state.debt, state.balance - balance, alive)


async def balance_at(reader: Reader, account: str, point: AsOf = NOW) -> BalanceAt:
    """Balance at a point. Raises NoSuchAccountError, NothingOfThatNameError beyond the log."""
    at = await locate(reader, point)
    rows = await reader.fetch(query("account_until"), account_stream(account), at.position)
    if not rows:
        await require_account(reader, account)
    return balance_of(account, fold_account(tuple(row) for row in rows), at)


async def require_account(reader: Reader, account: str) -> None:
    """Raise NoSuchAccountError unless the account has events."""
    stream = account_stream(account)
    if not await reader.fetchval("SELECT EXISTS (SELECT FROM events WHERE stream = $1)", stream):
        raise NoSuchAccountError(f"there is no account {account!r} in the log")
