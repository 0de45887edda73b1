"""`neurocards ledger statement`: every movement of a user's credits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from services.cli.options import User
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import From, To, clock, iso, period

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from projections.reports.log_position import LogPosition
    from projections.reports.statement import Movement, Statement
    from services.platform.settings import Settings

_WHAT = {
    "CreditsGranted": "grant",
    "CreditsCharged": "charge",
    "CreditsRefunded": "refund",
    "CreditsRevoked": "revocation",
    "CreditsRestored": "return",
    "CreditsExpired": "expiry",
}


def register(app: typer.Typer) -> None:
    app.command("statement")(statement)


def statement(user: User, start: From = None, end: To = None, output: Output = OutputFormat.table) -> None:
    """Every movement of a user's credits, with the balance after it and the lots it went to or came from."""
    from projections.reports.statement import statement as make
    from services.cli.connections import read
    from services.cli.resolve_account import resolve_account

    first, last = period(start, end)

    async def work(pool: Pool, settings: Settings) -> Statement:
        return await make(pool, await resolve_account(settings, user), first, last)

    found = read("statement", work)
    if (found.start.position, found.start.time_us) > (found.end.position, found.end.time_us):
        raise typer.BadParameter("it is later than --to", param_hint="--from")
    as_row = _line if output is OutputFormat.table else _row
    emit([as_row(*entry) for entry in _entries(found)], output)
    count = len(found.movements)
    say(f"account {found.account}: {count} movements" if count else f"account {found.account}: nothing moved")


Entry = tuple["Movement | None", "LogPosition", str, int]


def _entries(found: Statement) -> list[Entry]:
    """The opening line, the movements, the closing line, each with the balance after it."""
    entries: list[Entry] = [(None, found.start, "opening", found.opening)]
    entries += [(movement, found.end, _WHAT[movement.type], after) for movement, after in found.movements]
    return [*entries, (None, found.end, "closing", found.closing)]


def _row(movement: Movement | None, at: LogPosition, what: str, balance: int) -> dict[str, Any]:
    if movement is None:
        known: dict[str, Any] = {"at": iso(at.time_us) if at.position else None, "position": at.position}
    else:
        known = {
            "at": iso(movement.at_us),
            "position": movement.position,
            "booked_at": iso(movement.recorded_at_us),
            "amount": movement.amount,
            "debt": movement.debt,
            "lots": [
                {"lot": p.lot, "kind": p.kind, "amount": p.amount, "expires_at": iso(p.expires_at_us)}
                for p in movement.lots
            ],
            "kind": movement.kind or None,
            "reason": movement.reason or None,
            "job": movement.job,
            "order": movement.order,
            "payment": movement.reference,
            "actor": movement.actor or None,
        }
    keys = ("at", "position", "booked_at", "what", "amount", "balance", "debt", "lots", "kind", "reason")
    row = known | {"what": what, "balance": balance}
    return {key: row.get(key) for key in (*keys, "job", "order", "payment", "actor")}


def _line(movement: Movement | None, at: LogPosition, what: str, balance: int) -> dict[str, Any]:
    if movement is None:
        shown = clock(at.time_us) if at.position else ""
        return _cells(shown, at.position or "", what, "", balance, "", "")
    lots = [f"{change.amount:+d} #{change.lot} {change.kind}" for change in movement.lots]
    if movement.debt:
        lots.append(f"{-movement.debt:+d} owed")
    position = "" if movement.position is None else movement.position
    return _cells(
        clock(movement.at_us),
        position,
        what,
        f"{movement.amount:+d}",
        balance,
        "\n".join(lots),
        _about(movement),
    )


def _cells(
    time: str, position: int | str, what: str, amount: str, balance: int, lots: str, about: str
) -> dict[str, Any]:
    return {
        "time": time,
        "position": position,
        "what": what,
        "amount": amount,
        "balance": balance,
        "lots": lots,
        "for": about,
    }


def _about(movement: Movement) -> str:
    """What it was for: the job; why; the payment; who; how long the credits live."""
    lives = {change.expires_at_us for change in movement.lots if change.amount > 0} - {None}
    said = [
        movement.job or "",
        movement.reason,
        f"payment {movement.reference}" if movement.reference else "",
        f"by {movement.actor}" if movement.actor else "",
        *(f"until {clock(life)[:10]}" for life in sorted(life for life in lives if life is not None)),
    ]
    return ", ".join(part for part in said if part)
