"""Account state folded from its events. Pure."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from events import account
from events.account import Part
from ledger.accounts.lots import Lots, given, taken, total

PROPOSALS_MAX = 20
UNKNOWN_LOT = 0
"""Takes the refund of a job whose events do not say from which lots it was paid."""


class AccountState(msgspec.Struct, frozen=True, gc=False):
    """What the rules need to know of an account.

    `terms` is the version agreed to last, empty before. `lots` are in draw order; `debt` is what is missing
    below zero: then there are no lots. `lots_made` is the number of the newest lot. `broken` says why an
    event could not be read: then nothing may be spent, but refunds still arrive.

    `invited_by` is the inviter's account; once `rewarded`, that is settled. `bought`: credits were paid for,
    first by `purchase` (a grant's reference).
    `promos` are references of promo codes used: an account knows its own few codes, so a code need not know
    its many accounts. `lost` are credits of bought lots that expired or that an operator took: a refund of
    the money does not take them again. `proposals` wait for a second person, or are too old by now.
    """

    opened: bool = False
    terms: str = ""
    balance: int = 0
    broken: str = ""
    lots: Lots = ()
    lots_made: int = 0
    debt: int = 0
    forgotten: bool = False
    invited_by: str = ""
    rewarded: bool = False
    bought: bool = False
    purchase: str = ""
    promos: tuple[str, ...] = ()
    lost: tuple[tuple[int, int], ...] = ()
    proposals: tuple[account.ChangeProposed, ...] = ()

    def available(self, now_us: int) -> int:
        """Balance without expired lots, booked or not."""
        return self.balance - sum(lot.amount for lot in self.lots if lot.dead(now_us))

    def lost_of(self, lot: int) -> int:
        """Credits of a bought lot that expired or an operator took."""
        return sum(amount for number, amount in self.lost if number == lot)


def evolve(state: AccountState, event: account.AccountEvent) -> AccountState:
    match event:
        case account.CreditsCharged():
            return _holding(state, taken(state.lots, event.parts), state.debt)
        case account.CreditsGranted():
            return _granted(state, event)
        case account.CreditsRevoked():
            owed = event.amount - sum(part.amount for part in event.parts)
            state = _holding(state, taken(state.lots, event.parts), state.debt + owed)
            return state if event.kind == "payment" else _losing(state, event.parts)
        case account.CreditsRefunded() | account.CreditsRestored():
            return _holding(state, given(state.lots, event.parts), state.debt - event.settled)
        case account.CreditsExpired():
            part = Part(event.lot, event.amount, event.kind)
            return _losing(_holding(state, taken(state.lots, (part,)), state.debt), (part,))
        case account.AccountOpened():
            return replace(state, opened=True, invited_by=event.invited_by)
        case account.TermsAccepted():
            return replace(state, terms=event.terms)
        case account.InvitationRewarded():
            return replace(state, rewarded=True)
        case account.AccountForgotten():
            return replace(state, forgotten=True, proposals=())
        case account.ChangeProposed():
            return replace(state, proposals=(*state.proposals, event)[-PROPOSALS_MAX:])
        case account.ChangeApproved() | account.ChangeWithdrawn():
            left = tuple(each for each in state.proposals if each.change != event.change)
            return replace(state, proposals=left)
        case _ as never:
            assert_never(never)


def _granted(state: AccountState, event: account.CreditsGranted) -> AccountState:
    kept = event.amount - event.settled
    part = Part(event.lot, kept, event.kind, event.expires_at_us)
    lots = given(state.lots, (part,)) if kept else state.lots
    lots_made = max(event.lot, state.lots_made)
    state = replace(_holding(state, lots, state.debt - event.settled), lots_made=lots_made)
    if event.from_lot is not None and state.lost_of(event.from_lot):
        state = replace(state, lost=(*state.lost, (event.from_lot, -event.amount)))
    if event.kind == "purchase":
        purchase = state.purchase if state.bought else event.reference or ""
        return replace(state, bought=True, purchase=purchase)
    if event.kind == "promo" and event.reference is not None and event.reference.startswith("promo:"):
        return replace(state, promos=(*state.promos, event.reference))
    return state


def _losing(state: AccountState, parts: tuple[Part, ...]) -> AccountState:
    lost = tuple((part.lot, part.amount) for part in parts if part.kind == "purchase")
    return replace(state, lost=(*state.lost, *lost)) if lost else state


def _holding(state: AccountState, lots: Lots, debt: int) -> AccountState:
    return replace(state, balance=total(lots) - debt, lots=lots, debt=debt)
