"""Account statement: every movement with running balance and lots.

Folded by the ledger's own rules; pure but for `statement`. An expiry stands at the moment the credits could
no longer be spent, whenever it was booked; one not booked yet has no position.
"""

from collections.abc import Iterable, Iterator

import msgspec

from events.account import (
    CreditEvent,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
    GrantKind,
    Paid,
)
from events.stream_names import account_stream
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState, evolve
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.reports.balance_as_of import Row, account_event, require_account
from projections.reports.log_position import NOW, AsOf, LogPosition, locate

query = load_queries("projections.reports")

BEGINNING = LogPosition(0, 0)
EMPTY = AccountState()


class LotChange(msgspec.Struct, frozen=True):
    """Credits into (+) or out of (-) one lot."""

    lot: int
    amount: int
    kind: GrantKind
    expires_at_us: int | None


class Movement(msgspec.Struct, frozen=True):
    """Signed `amount`, the sum of `lots` and `debt`.

    `debt` is what became owed (-) or was settled (+). It took effect at `at_us` and was booked at
    `recorded_at_us`, which with `position` is None for an expiry not booked by the statement's end. `money`
    was paid for the credits, went back for them, or stayed after all.
    """

    type: str
    at_us: int
    amount: int
    lots: tuple[LotChange, ...]
    debt: int = 0
    position: int | None = None
    recorded_at_us: int | None = None
    job: str | None = None
    order: str | None = None
    reference: str | None = None
    reason: str = ""
    actor: str = ""
    kind: str = ""
    money: Paid | None = None

    def in_effect(self, at: LogPosition) -> bool:
        booked = self.position is not None and self.position <= at.position
        return booked or (self.type == "CreditsExpired" and self.at_us <= at.time_us)


class Statement(msgspec.Struct, frozen=True):
    account: str
    start: LogPosition
    end: LogPosition
    opening: int
    closing: int
    movements: tuple[tuple[Movement, int], ...]
    """Each with the balance after it."""


async def statement(reader: Reader, account: str, start: AsOf | None = None, end: AsOf = NOW) -> Statement:
    """Statement between two points, inclusive. Raises NoSuchAccountError and NothingOfThatNameError."""
    until = await locate(reader, end)
    begin = BEGINNING if start is None else await locate(reader, start.before())
    rows = await reader.fetch(query("account_until"), account_stream(account), until.position)
    if not rows:
        await require_account(reader, account)
    return statement_of(account, (tuple(row) for row in rows), begin, until)


def statement_of(
    account: str, rows: Iterable[Row], start: LogPosition, end: LogPosition, state: AccountState = EMPTY
) -> Statement:
    """Statement of rows that come after `state`."""
    opening = running = state.balance
    listed: list[tuple[Movement, int]] = []
    for movement in sorted(movements(rows, end, state), key=lambda m: m.at_us):  # stable: else in their order
        running += movement.amount
        if movement.in_effect(start):
            opening += movement.amount
        else:
            listed.append((movement, running))
    return Statement(account, start, end, opening, running, tuple(listed))


def movements(rows: Iterable[Row], end: LogPosition, state: AccountState = EMPTY) -> Iterator[Movement]:
    """Movements of these events after `state`, then unbooked expiries due at `end`."""
    for position, _, type_name, data, recorded_at_us in rows:
        event = account_event(type_name, data, position)
        after = evolve(state, event)
        if isinstance(event, CreditEvent):
            yield _movement(event, state, after, position, recorded_at_us)
        state = after
    for lot in state.lots:
        if lot.expires_at_us is not None and lot.dead(end.time_us):
            gone = LotChange(lot.number, -lot.amount, lot.kind, lot.expires_at_us)
            yield Movement(
                "CreditsExpired",
                lot.expires_at_us,
                -lot.amount,
                (gone,),
                reason="not booked yet",
                kind=lot.kind,
            )


def _movement(
    event: CreditEvent, before: AccountState, after: AccountState, position: int, recorded_at_us: int
) -> Movement:
    at_us, job, order, reference, reason, actor, kind = recorded_at_us, None, None, None, "", "", ""
    paid = event.paid if isinstance(event, CreditsGranted) else getattr(event, "returned", None)
    match event:
        case CreditsGranted() | CreditsRevoked():
            reference, reason, actor, kind = event.reference, event.reason, event.actor, event.kind
        case CreditsCharged():
            job, order = event.job, event.order
        case CreditsRefunded():
            job, reason = event.job, event.reason
        case CreditsRestored():
            reference, reason = event.reference, "refund failed"
        case CreditsExpired():
            at_us, kind = event.due_at_us, event.kind
    return Movement(
        type(event).__name__,
        at_us,
        after.balance - before.balance,
        tuple(_changes(before.lots, after.lots)),
        before.debt - after.debt,
        position,
        recorded_at_us,
        job,
        order,
        reference,
        reason,
        actor,
        kind,
        paid,
    )


def _changes(before: tuple[Lot, ...], after: tuple[Lot, ...]) -> Iterator[LotChange]:
    had = {lot.number: lot for lot in before}
    has = {lot.number: lot for lot in after}
    for lot in before:
        left = has.get(lot.number)
        if change := (left.amount if left else 0) - lot.amount:
            life = left or lot
            yield LotChange(lot.number, change, lot.kind, life.expires_at_us)
    for lot in after:
        if lot.number not in had:
            yield LotChange(lot.number, lot.amount, lot.kind, lot.expires_at_us)
