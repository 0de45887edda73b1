"""What each account has, and where it came from and went."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from events.account import (
    AccountEvent,
    AccountOpened,
    CreditsCharged,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    TermsAccepted,
)
from events.codec import Event
from events.envelope import Recorded
from events.streams import account_of
from projections.errors import UnfoldableEvent
from projections.projection import Projection


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One account. Amounts are whole credits; `balance` = granted - charged + refunded - revoked.

    `charges` and `refunds` count events. `terms` is the version agreed to last, empty before. `position` is
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


def evolve(row: Balance | None, recorded: Recorded, event: Event) -> Balance:
    """The account's row after the event."""
    if not isinstance(event, AccountEvent):
        raise UnfoldableEvent(f"{recorded.type} at position {recorded.position} is no account's event")
    account = account_of(recorded.stream) or ""
    before = row if row is not None else Balance(account)
    row = replace(before, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    match event:
        case CreditsCharged(amount=amount):
            return replace(
                row, balance=row.balance - amount, charged=row.charged + amount, charges=row.charges + 1
            )
        case CreditsRefunded(amount=amount):
            return replace(
                row, balance=row.balance + amount, refunded=row.refunded + amount, refunds=row.refunds + 1
            )
        case CreditsGranted(amount=amount):
            return replace(row, balance=row.balance + amount, granted=row.granted + amount)
        case CreditsRevoked(amount=amount):
            return replace(row, balance=row.balance - amount, revoked=row.revoked + amount)
        case TermsAccepted(terms=terms):
            return replace(row, terms=terms)
        case AccountOpened():
            return replace(row, opened_at_us=recorded.recorded_at_us)
        case _ as never:
            assert_never(never)


def _key_of(recorded: Recorded) -> str | None:
    return account_of(recorded.stream)


BALANCES = Projection("balances", Balance, _key_of, evolve)
