"""What each account has, and where it came from and went."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from events.account import (
    AccountEvent,
    AccountForgotten,
    AccountOpened,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    InvitationRewarded,
    TermsAccepted,
)
from events.codec import Event
from events.envelope import Recorded
from events.streams import account_of
from ledger import account_state
from ledger.account_state import AccountState
from ledger.lots import Lots
from projections.errors import UnfoldableEvent
from projections.projection import OnePerStream


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One account. Amounts are whole credits; `balance` = granted - charged + refunded - revoked - expired.

    `lots` hold the balance, in the order they are spent in; `debt` is what is missing below zero, and then
    there are no lots. `next_expiry_at_us` is the earliest end of a lot's life. `charges` and `refunds` count
    events. `terms` is the version agreed to last, empty before. `position` is
    that of the account's last event. Times are epoch microseconds.
    """

    account: str
    balance: int = 0
    granted: int = 0
    charged: int = 0
    refunded: int = 0
    revoked: int = 0
    charges: int = 0
    refunds: int = 0
    terms: str = ""
    opened_at_us: int | None = None
    updated_at_us: int = 0
    position: int = 0
    expired: int = 0
    debt: int = 0
    lots: Lots = ()
    lots_made: int = 0
    next_expiry_at_us: int | None = None
    forgotten_at_us: int | None = None


def evolve(row: Balance | None, recorded: Recorded, event: Event) -> Balance:
    """The account's row after the event."""
    if not isinstance(event, AccountEvent):
        raise UnfoldableEvent(f"{recorded.type} at position {recorded.position} is no account's event")
    account = account_of(recorded.stream) or ""
    before = row if row is not None else Balance(account)
    row = replace(before, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    match event:
        case CreditsCharged(amount=amount):
            return _moved(replace(row, charged=row.charged + amount, charges=row.charges + 1), event, -amount)
        case CreditsRefunded(amount=amount):
            return _moved(
                replace(row, refunded=row.refunded + amount, refunds=row.refunds + 1), event, amount
            )
        case CreditsGranted(amount=amount):
            return _moved(replace(row, granted=row.granted + amount), event, amount)
        case CreditsRevoked(amount=amount):
            return _moved(replace(row, revoked=row.revoked + amount), event, -amount)
        case CreditsExpired(amount=amount):
            return _moved(replace(row, expired=row.expired + amount), event, -amount)
        case AccountForgotten():
            return replace(row, forgotten_at_us=recorded.recorded_at_us)
        case TermsAccepted(terms=terms):
            return replace(row, terms=terms)
        case AccountOpened():
            return replace(row, opened_at_us=recorded.recorded_at_us)
        case InvitationRewarded():
            return row  # its credits are grants beside it
        case _ as never:
            assert_never(never)


def _moved(row: Balance, event: AccountEvent, amount: int) -> Balance:
    """The row with `amount` more (or less) credits, and the lots as the ledger's own fold has them."""
    state = AccountState(lots=row.lots, lots_made=row.lots_made, debt=row.debt)
    state = account_state.evolve(state, event)
    ends = [lot.expires_at_us for lot in state.lots if lot.expires_at_us is not None]
    return replace(
        row,
        balance=row.balance + amount,
        debt=state.debt,
        lots=state.lots,
        lots_made=state.lots_made,
        next_expiry_at_us=min(ends, default=None),
    )


def _key_of(recorded: Recorded) -> str | None:
    return account_of(recorded.stream)


BALANCES = OnePerStream("balances", Balance, evolve, _key_of, json_columns=("lots",))
