"""`neurocards ledger balance|statement|trial-balance`: credits, their movements, the books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.connections import read
from services.cli.errors import ExitCode
from services.cli.options import User
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.resolve_account import read_account
from services.cli.timespec import At, From, To, clock, iso, period, point

if TYPE_CHECKING:
    from ledger.accounts.lots import Lot
    from projections.reports.balance_as_of import BalanceAt
    from projections.reports.log_position import LogPosition
    from projections.reports.statement import Movement, Statement

_WHAT = {
    "CreditsGranted": "grant",
    "CreditsCharged": "charge",
    "CreditsRefunded": "refund",
    "CreditsRevoked": "revocation",
    "CreditsRestored": "return",
    "CreditsExpired": "expiry",
}


def balance(user: User, at: At = None, output: Output = OutputFormat.table) -> None:
    """Show a user's balance and its lots, first the one spent first."""
    from projections.reports.balance_as_of import balance_at

    moment = point(at)
    found = read_account("balance", user, lambda pool, account: balance_at(pool, account, moment))
    if output is OutputFormat.table:
        _show_balance(found)
    else:
        emit([_balance_row(found)], output)
    if found.moment.not_come_yet:
        say("that time has not come yet: this is the balance now")
    if found.unbooked:
        say(f"{found.unbooked} credits more have expired and are not booked yet; they do not count")


def _balance_row(found: BalanceAt) -> dict[str, Any]:
    return {
        "account": found.account,
        "at": iso(found.moment.time_us),
        "position": found.moment.position,
        "balance": found.balance,
        "debt": found.debt,
        "unbooked_expiry": found.unbooked,
        "lots": [_lot(lot) for lot in found.lots],
    }


def _lot(lot: Lot) -> dict[str, Any]:
    return {
        "lot": lot.number,
        "kind": lot.kind,
        "amount": lot.amount,
        "expires_at": iso(lot.expires_at_us),
    }


def _show_balance(found: BalanceAt) -> None:
    row = {
        "account": found.account,
        "at": clock(found.moment.time_us),
        "position": found.moment.position,
        "balance": found.balance,
        "owed": found.debt,
    }
    emit([row], OutputFormat.table)
    if found.lots:
        lots = [_lot(lot) | {"expires_at": clock(lot.expires_at_us) or "never"} for lot in found.lots]
        emit(lots, OutputFormat.table)


def statement(user: User, start: From = None, end: To = None, output: Output = OutputFormat.table) -> None:
    """List a user's credit movements, with lots and the balance after each."""
    from projections.reports.statement import statement as make

    first, last = period(start, end)
    found = read_account("statement", user, lambda pool, account: make(pool, account, first, last))
    if (found.start.position, found.start.time_us) > (found.end.position, found.end.time_us):
        raise typer.BadParameter("it is later than --to", param_hint="--from")
    if output is OutputFormat.table:
        emit([_movement_line(*entry) for entry in _entries(found)], output)
    else:
        of = {"account": found.account, "unit": "credits"}
        emit([of | _movement_row(*entry) for entry in _entries(found)], output)
    count = len(found.movements)
    say(f"account {found.account}: {count} movements" if count else f"account {found.account}: nothing moved")


Entry = tuple["Movement | None", "LogPosition", str, int]


def _entries(found: Statement) -> list[Entry]:
    entries: list[Entry] = [(None, found.start, "opening", found.opening)]
    entries += [(movement, found.end, _WHAT[movement.type], after) for movement, after in found.movements]
    return [*entries, (None, found.end, "closing", found.closing)]


def _movement_row(movement: Movement | None, at: LogPosition, what: str, balance: int) -> dict[str, Any]:
    from projections.reports.event_text import money

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
            "money": money(movement.money) if movement.money else None,
            "actor": movement.actor or None,
        }
    keys = ("at", "position", "booked_at", "what", "amount", "balance", "debt", "lots", "kind", "reason")
    row = known | {"what": what, "balance": balance}
    return {key: row.get(key) for key in (*keys, "job", "order", "payment", "money", "actor")}


def _movement_line(movement: Movement | None, at: LogPosition, what: str, balance: int) -> dict[str, Any]:
    lots = [f"{change.amount:+d} #{change.lot} {change.kind}" for change in movement.lots] if movement else []
    if movement and movement.debt:
        lots.append(f"{-movement.debt:+d} owed")
    time_us = movement.at_us if movement else at.time_us if at.position else None
    return {
        "time": clock(time_us),
        "position": movement.position if movement else at.position or None,
        "what": what,
        "amount": f"{movement.amount:+d}" if movement else "",
        "balance": balance,
        "lots": "\n".join(lots),
        "for": _about(movement) if movement else "",
    }


def _about(movement: Movement) -> str:
    from projections.reports.event_text import money

    lives = {change.expires_at_us for change in movement.lots if change.amount > 0} - {None}
    said = [
        movement.job or "",
        movement.reason,
        f"payment {movement.reference}" if movement.reference else "",
        money(movement.money) if movement.money else "",
        f"by {movement.actor}" if movement.actor else "",
        *(f"until {clock(life)[:10]}" for life in sorted(life for life in lives if life is not None)),
    ]
    return ", ".join(part for part in said if part)


def trial_balance(
    at: At = None,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="Every user by itself, not all in one line.")
    ] = False,
    output: Output = OutputFormat.table,
) -> None:
    """Print the trial balance: credits in (debits) and out (credits), summing to zero."""
    from projections.reports.trial_balance import trial_balance as make

    moment = point(at)
    found = read("trial-balance", lambda pool, _: make(pool, moment, by_account=accounts))
    rows: list[dict[str, Any]] = [
        {
            "account": f"user ({line.accounts} users)" if _is_sum(output, line.account) else line.account,
            "debits": line.debits,
            "credits": line.credits,
            "balance": line.balance,
        }
        for line in found.lines
    ]
    if output is OutputFormat.table:
        sums = {key: sum(row[key] for row in rows) for key in ("debits", "credits", "balance")}
        rows.append({"account": "total", **sums})
    emit(rows, output)
    say(f"at position {found.moment.position}, {iso(found.moment.time_us)}")
    if found.total:
        say(f"the books do not balance: they sum to {found.total}")
        raise typer.Exit(ExitCode.INTEGRITY)


def _is_sum(output: OutputFormat, account: str) -> bool:
    return output is OutputFormat.table and account == "user"
