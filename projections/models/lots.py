"""Credit lots: origin, use, remainder and end of life."""

from collections.abc import Iterable, Sequence
from typing import get_args

import msgspec
from msgspec.structs import replace

from events.account import (
    CreditEvent,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
    GrantKind,
    Part,
)
from events.codec import Event
from events.envelope import Recorded
from events.stream_names import account_of
from projections.engine.projection import ManyRows, names_of


class CreditLot(msgspec.Struct, frozen=True, gc=False):
    """Lot `lot` of its account, in whole credits; `lot_id` names both.

    `amount_left` = granted - settled - spent + refunded - revoked - expired. `settled` went against a debt
    when the lot came in, `revoked` is less what was restored. `expires_at_us`: None for never; a refund may
    have prolonged it, and an unbooked expiry is still in `amount_left`. `reference` is e.g. the payment,
    `paid_minor` of `currency` what was paid. Lot 0 takes refunds of jobs that do not say from which lots they
    were paid, and has no grant. Times are epoch microseconds.
    """

    lot_id: str
    account: str
    lot: int
    kind: GrantKind
    granted: int = 0
    amount_left: int = 0
    expires_at_us: int | None = None
    settled: int = 0
    spent: int = 0
    refunded: int = 0
    revoked: int = 0
    expired: int = 0
    granted_at_us: int | None = None
    reason: str = ""
    reference: str = ""
    paid_minor: int | None = None
    currency: str = ""
    actor: str = ""
    updated_at_us: int = 0
    position: int = 0


class Moved(msgspec.Struct, frozen=True, gc=False):
    event: Event
    part: Part


def spread(recorded: Recorded, event: Event, _: Sequence[Event]) -> Iterable[tuple[str, Moved]]:
    account = account_of(recorded.stream)
    if account is None:
        return
    for part in _parts(event):
        yield f"{account}/{part.lot}", Moved(event, part)


def _parts(event: Event) -> Iterable[Part]:
    match event:
        case CreditsGranted():
            return (Part(event.lot, event.amount - event.settled, event.kind, event.expires_at_us),)
        case CreditsCharged() | CreditsRefunded() | CreditsRevoked() | CreditsRestored():
            return event.parts
        case CreditsExpired():
            return (Part(event.lot, event.amount, event.kind, event.due_at_us),)
        case _:
            return ()


def evolve(row: CreditLot | None, recorded: Recorded, moved: Moved) -> CreditLot:
    part, amount = moved.part, moved.part.amount
    if row is None:
        account = account_of(recorded.stream) or ""
        row = CreditLot(f"{account}/{part.lot}", account, part.lot, part.kind)
    row = replace(row, updated_at_us=recorded.recorded_at_us, position=recorded.position)
    match moved.event:
        case CreditsGranted() as event:
            return replace(
                row,
                granted=event.amount,
                settled=event.settled,
                amount_left=amount,
                expires_at_us=event.expires_at_us,
                granted_at_us=recorded.recorded_at_us,
                reason=event.reason,
                reference=event.reference or "",
                paid_minor=event.paid.amount_minor if event.paid else None,
                currency=event.paid.currency if event.paid else "",
                actor=event.actor,
            )
        case CreditsCharged():
            return replace(row, spent=row.spent + amount, amount_left=row.amount_left - amount)
        case CreditsRefunded():
            left, ends = row.amount_left + amount, part.expires_at_us
            return replace(row, refunded=row.refunded + amount, amount_left=left, expires_at_us=ends)
        case CreditsRevoked():
            return replace(row, revoked=row.revoked + amount, amount_left=row.amount_left - amount)
        case CreditsRestored():
            left, ends = row.amount_left + amount, part.expires_at_us
            return replace(row, revoked=row.revoked - amount, amount_left=left, expires_at_us=ends)
        case CreditsExpired():
            return replace(row, expired=row.expired + amount, amount_left=row.amount_left - amount)
        case _:
            return row


LOTS = ManyRows(
    "lots",
    CreditLot,
    evolve,
    names_of(*get_args(CreditEvent)),
    spread,
    indexes=("(account, lot)", "(reference) WHERE reference <> ''"),
)
