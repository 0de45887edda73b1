"""Balances: credits of each account, by origin and use."""

from typing import Never, NoReturn

import msgspec
from msgspec.structs import replace

from events import account
from events.envelope import Recorded
from events.stream_names import ACCOUNT, account_of
from ledger.accounts import state as account_state
from ledger.accounts.lots import Lots
from ledger.accounts.state import AccountState
from projections.engine.errors import UnfoldableEventError
from projections.engine.projection import OnePerStream


class Balance(msgspec.Struct, gc=False):
    """One account, in whole credits.

    `balance` = granted - charged + refunded - revoked - expired. `lots` are in draw order; `debt` is what is
    missing below zero, and then there are no lots. `charges` and `refunds` count events. `terms` is the
    version agreed to last, empty before. Times are epoch microseconds. Not frozen, for speed: `evolve` makes
    one new row and fills that in.
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


def evolve(row: Balance | None, recorded: Recorded, event: account.AccountEvent) -> Balance:
    """The account's row after the event: a new one, `row` stays as it is."""
    before = row if row is not None else Balance(account_of(recorded.stream) or "")
    row = replace(before, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    match event:  # what there is most of comes first
        case account.CreditsCharged():
            row.charged += event.amount
            row.charges += 1
            _move(row, event, -event.amount)
        case account.CreditsRefunded():
            row.refunded += event.amount
            row.refunds += 1
            _move(row, event, event.amount)
        case account.CreditsGranted():
            row.granted += event.amount
            _move(row, event, event.amount)
        case account.AccountOpened():
            row.opened_at_us = recorded.recorded_at_us
        case account.TermsAccepted():
            row.terms = event.terms
        case account.CreditsExpired():
            row.expired += event.amount
            _move(row, event, -event.amount)
        case account.CreditsRevoked():
            row.revoked += event.amount
            _move(row, event, -event.amount)
        case account.CreditsRestored():
            row.revoked -= event.amount
            _move(row, event, event.amount)
        case account.InvitationRewarded():
            pass  # its credits are grants beside it
        case account.ChangeProposed() | account.ChangeApproved() | account.ChangeWithdrawn():
            pass  # as those of an approval
        case account.AccountForgotten():
            row.forgotten_at_us = recorded.recorded_at_us
        case _ as never:
            _refuse(recorded, never)
    return row


def _refuse(recorded: Recorded, event: Never) -> NoReturn:
    """Raise UnfoldableEventError. The type checker gets here with an account's event that `evolve` forgot."""
    del event
    raise UnfoldableEventError(f"{recorded.type} at position {recorded.position} is no account's event")


def _move(row: Balance, event: account.AccountEvent, amount: int) -> None:
    state = AccountState(lots=row.lots, lots_made=row.lots_made, debt=row.debt)
    state = account_state.evolve(state, event)
    row.balance += amount
    row.debt = state.debt
    row.lots = state.lots
    row.lots_made = state.lots_made
    row.next_expiry_at_us = None
    for lot in state.lots:
        ends = lot.expires_at_us
        if ends is not None and (row.next_expiry_at_us is None or ends < row.next_expiry_at_us):
            row.next_expiry_at_us = ends


BALANCES = OnePerStream(
    "balances",
    Balance,
    evolve,
    ACCOUNT,
    json_columns=("lots",),
    indexes=("(next_expiry_at_us) WHERE next_expiry_at_us IS NOT NULL", "(position) WHERE debt > 0"),
)
