"""Credit lots of one account, spent in draw order. Pure.

Draw order: what was given before what was paid for, the earliest end of life first, then the oldest. Lots are
kept in that order, and a used-up lot is gone: the cost of a charge does not grow with an account's history.
"""

from bisect import insort
from collections.abc import Iterable

import msgspec

from events.account import GrantKind, Part

_NEVER_US = 2**63


class Lot(msgspec.Struct, frozen=True, gc=False):
    """Rest of one grant, until `expires_at_us`; None: for ever."""

    number: int
    amount: int
    kind: GrantKind
    expires_at_us: int | None = None

    def dead(self, now_us: int) -> bool:
        return self.expires_at_us is not None and self.expires_at_us <= now_us


Lots = tuple[Lot, ...]
"""In draw order, each holding something."""


def draw_order(lot: Lot) -> tuple[bool, int, int]:
    return (
        lot.kind == "purchase",
        _NEVER_US if lot.expires_at_us is None else lot.expires_at_us,
        lot.number,
    )


def total(lots: Lots) -> int:
    return sum(lot.amount for lot in lots)


def draw(lots: Lots, amount: int) -> tuple[tuple[Part, ...], Lots]:
    """Take up to `amount` in draw order: the parts, the lots left."""
    parts: list[Part] = []
    for index, lot in enumerate(lots):
        if lot.amount > amount:
            if amount:
                parts.append(Part(lot.number, amount, lot.kind, lot.expires_at_us))
                rest = Lot(lot.number, lot.amount - amount, lot.kind, lot.expires_at_us)
                return tuple(parts), (rest, *lots[index + 1 :])
            return tuple(parts), lots[index:]
        parts.append(Part(lot.number, lot.amount, lot.kind, lot.expires_at_us))
        amount -= lot.amount
    return tuple(parts), ()


def taken(lots: Lots, parts: Iterable[Part]) -> Lots:
    for part in parts:
        index, lot = _find(lots, part.lot)
        if lot is None:
            continue
        rest = lot.amount - part.amount
        left = (Lot(lot.number, rest, lot.kind, lot.expires_at_us),) if rest > 0 else ()
        lots = (*lots[:index], *left, *lots[index + 1 :])
    return lots


def given(lots: Lots, parts: Iterable[Part]) -> Lots:
    """The lots with these parts added, each with its part's life. One that was used up is there again."""
    for part in parts:
        index, lot = _find(lots, part.lot)
        rest = lots if lot is None else (*lots[:index], *lots[index + 1 :])
        amount = part.amount + (lot.amount if lot is not None else 0)
        ordered = list(rest)
        insort(ordered, Lot(part.lot, amount, part.kind, part.expires_at_us), key=draw_order)
        lots = tuple(ordered)
    return lots


def _find(lots: Lots, number: int) -> tuple[int, Lot | None]:
    for index, lot in enumerate(lots):
        if lot.number == number:
            return index, lot
    return 0, None
