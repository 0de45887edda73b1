"""`neurocards ledger trial-balance`: the books of the whole system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import ExitCode
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import At, iso, point

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from projections.reports.trial_balance import TrialBalance
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("trial-balance")(trial_balance)


def trial_balance(
    at: At = None,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="Every user by itself, not all in one line.")
    ] = False,
    output: Output = OutputFormat.table,
) -> None:
    """All accounts of the books: credits that came in (debits) and went out (credits). They sum to zero."""
    from projections.reports.trial_balance import trial_balance as make
    from services.cli.connections import read

    moment = point(at)

    async def work(pool: Pool, _: Settings) -> TrialBalance:
        return await make(pool, moment, by_account=accounts)

    found = read("trial-balance", work)
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
    """Whether the line is that of all users together, to be shown to a person."""
    return output is OutputFormat.table and account == "user"
