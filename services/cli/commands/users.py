"""`neurocards users forget|verify`: erase a person; hold who is who against the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from services.cli.connections import acting, open_ledger, run
from services.cli.options import DryRun, Reason, User, Yes, confirm, end_damaged
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.resolve_account import resolve_account

if TYPE_CHECKING:
    from projections.verify.findings import Problem
    from services.accounts.erase import Erased
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    users = typer.Typer(name="users", no_args_is_help=True, help="What concerns one person.")
    users.command("forget")(forget)
    users.command("verify")(verify)
    app.add_typer(users)


def forget(
    user: User,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Erase a person: profile, texts, photos, videos. Events, chain and balances stay as they are.

    Unfinished jobs fail and are refunded to the account, which takes no orders any more. Asking again mends
    an attempt that was interrupted: with the account's id, should the Telegram id be gone already.
    """
    emit([run("users", lambda settings: _plan(settings, user))], output)
    confirm(dry_run, yes)
    actor = acting("users")
    erased = run("users", lambda settings: _forget(settings, user, actor, reason))
    say(
        f"erased: {erased.texts} texts, {erased.drafts} drafts, {erased.payments} payments' links, "
        f"{erased.files} files, {erased.messages} messages' ids; "
        f"{erased.jobs_failed} unfinished jobs were refunded"
    )
    if not erased.telegram_id_known:
        say("whose account it was had been erased before; what was left is gone now")


def verify(output: Output = OutputFormat.table) -> None:
    """Check every account against the person it was opened for; exit code 3.

    Each row of the table of people, erased ones have none, must give the commitment in its account's opening.
    Maintenance checks the same whenever it verifies the whole log.
    """
    amiss, named, restored = run("users", _verify)
    if amiss:
        end_damaged(amiss, output)
    say(f"{named} accounts are whose they were opened for; of {restored} restored ones it is unknown")


async def _verify(settings: Settings) -> tuple[list[Problem], int, int]:
    from ledger.sql import load_queries
    from services.accounts.personal_data import PersonalData
    from services.platform.database import create_pool

    async with await create_pool(settings, "operator", max_size=1) as pool:
        amiss = await PersonalData(pool).amiss()
        row = await pool.fetchrow(load_queries("services.accounts")("persons"))
    assert row is not None
    return amiss, row["named"], row["restored"]


async def _plan(settings: Settings, user: str) -> dict[str, Any]:
    from ledger.log.reader import LogReader
    from ledger.sql import load_queries
    from services.platform.database import create_pool

    query = load_queries("services.accounts")

    account = await resolve_account(settings, user)
    async with await create_pool(settings, "operator", max_size=1) as pool:
        state = await LogReader(pool).account(account)
        row = await pool.fetchrow(query("personal_data_of"), account)
    return {"account": account, "balance": state.balance, "locked_before": state.forgotten, **dict(row or {})}


async def _forget(settings: Settings, user: str, actor: str, reason: str) -> Erased:
    from services.accounts.erase import Forgetting
    from services.platform.blob_stores import open_blobs

    account = await resolve_account(settings, user)
    async with open_ledger(settings) as (ledger, pool):
        forgetting = Forgetting(settings, pool, ledger, open_blobs(settings))
        return await forgetting.forget(account, actor=actor, reason=reason)
