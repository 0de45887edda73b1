"""Invariants of lots, event by event of one account. Pure.

Independent of `ledger.accounts.lots`: credits are in numbered lots, spent in draw order, never from an
expired lot, and come back to their lots. Each rule changes the account and gives what is wrong, in words, or
"".
"""

from bisect import insort

import msgspec

from events.account import (
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
    GrantKind,
    Part,
)
from projections.verify.findings import Findings

_NEVER_US = 2**63
_BEFORE_US = 5_000_000
"""By so much a decision may be older than what `now_us` tells of it, its stamp."""


class Lot(msgspec.Struct, gc=False):
    number: int
    amount: int
    kind: GrantKind
    expires_at_us: int | None


class Account(msgspec.Struct, gc=False):
    """One account, as small as possible: all are in memory.

    `lots` are in draw order, none empty; `lost` are credits of bought lots that expired or were taken other
    than by a refund. `locked`: its person is forgotten.
    """

    version: int = 0
    debt: int = 0
    made: int = 0
    opened: bool = False
    locked: bool = False
    lots: list[Lot] = msgspec.field(default_factory=list)
    lost: dict[int, int] | None = None

    @property
    def balance(self) -> int:
        return sum(lot.amount for lot in self.lots) - self.debt


def draw_order(lot: Lot) -> tuple[bool, int, int]:
    """Gifts before bought credits, the earliest end first, then the oldest."""
    return lot.kind == "purchase", _NEVER_US if lot.expires_at_us is None else lot.expires_at_us, lot.number


def granted(account: Account, event: CreditsGranted) -> str:
    number, amount, settled, wrong = event.lot, event.amount, event.settled, ""
    if number != account.made + 1:
        wrong = f"the grant makes lot {number} where {account.made + 1} is next"
    if settled != min(account.debt, amount):
        wrong = f"the grant settles {settled} credits of a debt of {account.debt}"
    account.made = max(number, account.made)
    account.debt -= settled
    if account.lost and event.from_lot in account.lost:
        account.lost[event.from_lot] -= amount
    if amount > settled:
        _give(account, Part(number, amount - settled, event.kind, event.expires_at_us))
    return wrong


def charged(account: Account, amount: int, parts: tuple[Part, ...], now_us: int) -> str:
    wrong = _draw(account, parts, now_us, ordered=True)
    if sum(part.amount for part in parts) != amount:
        return f"its parts do not add up to {amount}"
    return wrong


def revoked(account: Account, event: CreditsRevoked, now_us: int) -> str:
    wrong = _draw(account, event.parts, now_us, ordered=False)
    owed = event.amount - sum(part.amount for part in event.parts)
    account.debt += owed
    if owed < 0:
        return f"its parts are more than {event.amount}"
    if owed and account.lots:
        return f"{owed} credits are owed while lots hold {account.balance + account.debt}"
    return wrong


def refunded(
    account: Account, event: CreditsRefunded | CreditsRestored, charge: tuple[Part, ...], now_us: int
) -> str:
    wrong, settled = "", event.settled
    if sum(part.amount for part in event.parts) + settled != event.amount:
        wrong = f"the refund's parts do not add up to {event.amount}"
    if settled != min(account.debt, event.amount):
        wrong = f"the refund settles {settled} credits of a debt of {account.debt}"
    came_from = {part.lot: part for part in charge}
    for part in event.parts:
        origin = came_from.get(part.lot)
        if origin is None and charge:
            wrong = f"the refund fills lot {part.lot}, from which the charge took nothing"
        elif origin is not None:
            wrong = _wrong_return(account, part, origin, now_us) or wrong
        _give(account, part)
    account.debt -= settled
    return wrong


def restored(account: Account, event: CreditsRestored, now_us: int) -> str:
    wrong = refunded(account, event, (), now_us)
    for part in event.parts:
        if part.expires_at_us is not None and part.expires_at_us <= now_us - _BEFORE_US:
            return f"it gives lot {part.lot} no life to be spent in"
    return wrong


def expired(account: Account, event: CreditsExpired, now_us: int) -> str:
    number, amount, due_at_us = event.lot, event.amount, event.due_at_us
    lot = _find(account, number)
    if lot is None:
        return f"lot {number} expired, which holds nothing"
    account.lots.remove(lot)
    lose(account, (Part(number, amount, event.kind),))
    if lot.expires_at_us is None:
        return f"lot {number} expired, which has no end of life"
    if lot.amount != amount:
        return f"{amount} credits of lot {number} expired, which held {lot.amount}"
    if (lot.kind, lot.expires_at_us) != (event.kind, due_at_us):
        return f"lot {number} expired as another kind or at another time than it has"
    if now_us < due_at_us:
        return f"lot {number} expired {(due_at_us - now_us) / 1e6:.0f} s before its life was over"
    return ""


def lose(account: Account, parts: tuple[Part, ...]) -> None:
    """Remember lost credits of bought lots, which no refund may take again."""
    for part in parts:
        if part.kind == "purchase":
            account.lost = account.lost or {}
            account.lost[part.lot] = account.lost.get(part.lot, 0) + part.amount


def _wrong_return(account: Account, part: Part, origin: Part, now_us: int) -> str:
    if part.amount > origin.amount or part.amount <= 0 or part.kind != origin.kind:
        return f"the refund gives lot {part.lot} {part.amount} credits, the charge took {origin.amount}"
    ends, had = part.expires_at_us, origin.expires_at_us
    if had is None:
        return "" if ends is None else f"the refund gives lot {part.lot} an end of life it never had"
    if ends is None or ends <= now_us - _BEFORE_US:
        return f"the refund gives lot {part.lot} no life to be spent in"
    lot = _find(account, part.lot)
    longest = max(had, 0 if lot is None else lot.expires_at_us or 0)
    if ends < longest or (had > now_us and ends != longest):
        return f"the refund gives lot {part.lot} another life than it had"
    return ""


def _draw(account: Account, parts: tuple[Part, ...], now_us: int, *, ordered: bool) -> str:
    wrong = ""
    lots = account.lots
    for part in parts:
        lot = lots[0] if lots and lots[0].number == part.lot else _find(account, part.lot)
        if lot is None or not 0 < part.amount <= lot.amount:
            held = 0 if lot is None else lot.amount
            wrong = f"{part.amount} credits were drawn from lot {part.lot}, which held {held}"
            account.debt += part.amount - held
        elif lot.kind != part.kind or lot.expires_at_us != part.expires_at_us:
            wrong = f"lot {part.lot} was drawn as another kind or with another life than it has"
        elif lot.expires_at_us is not None and lot.expires_at_us <= now_us - _BEFORE_US:
            wrong = f"lot {part.lot} was drawn after its life was over"
        elif ordered and lot is not lots[0]:
            wrong = f"lot {part.lot} was drawn before lot {lots[0].number}, which comes first"
        if lot is not None:
            lot.amount -= part.amount
            if lot.amount <= 0:
                lots.remove(lot)
    return wrong


def _find(account: Account, number: int) -> Lot | None:
    for lot in account.lots:
        if lot.number == number:
            return lot
    return None


def _give(account: Account, part: Part) -> None:
    lot = _find(account, part.lot)
    amount = part.amount
    if lot is not None:
        account.lots.remove(lot)
        amount += lot.amount
    insort(account.lots, Lot(part.lot, amount, part.kind, part.expires_at_us), key=draw_order)


class Snapshot(msgspec.Struct, gc=False):
    version: int
    position: int
    text: str


class _State(msgspec.Struct):
    """Compared fields of a snapshot. The terms agreed to are no credits and are left out."""

    lots: list[Lot]
    lots_made: int
    debt: int
    balance: int
    opened: bool = False
    forgotten: bool = False
    broken: str = ""


class _Sealed(msgspec.Struct):
    state: _State


_decode = msgspec.json.Decoder(_Sealed).decode


def compare(stream: str, account: Account, snapshot: Snapshot, findings: Findings) -> None:
    """Compare the snapshot with the log: the appender folds on from it."""
    try:
        state = _decode(snapshot.text).state
    except (msgspec.DecodeError, UnicodeError) as error:
        message = f"the snapshot of {stream} cannot be read: {error}"
        findings.add("snapshot", snapshot.position, message)
        return
    stored = (state.lots, state.lots_made, state.debt, state.balance, state.opened, state.forgotten)
    told = (account.lots, account.made, account.debt, account.balance, account.opened, account.locked)
    if stored != told or state.broken:
        message = f"the snapshot of {stream} at version {snapshot.version} is not what the log says"
        findings.add("snapshot", snapshot.position, message)
