"""`neurocards ledger balance`: what a user could spend, now or at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from services.cli.options import User
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import At, clock, iso, point

if TYPE_CHECKING:
    from ledger.accounts.lots import Lot
    from ledger.postgres import Pool
    from projections.reports.balance_as_of import BalanceAt
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("balance")(balance)


def balance(user: User, at: At = None, output: Output = OutputFormat.table) -> None:
    """What a user could spend, and the lots it is in, first the one that is spent first."""
    from projections.reports.balance_as_of import balance_at
    from services.cli.connections import read
    from services.cli.resolve_account import resolve_account

    moment = point(at)

    async def work(pool: Pool, settings: Settings) -> BalanceAt:
        return await balance_at(pool, await resolve_account(settings, user), moment)

    found = read("balance", work)
    if output is OutputFormat.table:
        _show(found)
    else:
        emit([_row(found)], output)
    if found.moment.not_come_yet:
        say("that time has not come yet: this is the balance now")
    if found.unbooked:
        say(f"{found.unbooked} credits more have expired and are not booked yet; they do not count")


def _row(found: BalanceAt) -> dict[str, Any]:
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


def _show(found: BalanceAt) -> None:
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
