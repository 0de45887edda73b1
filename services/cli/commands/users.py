"""`neurocards users forget`: erase a person. The ledger stays whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from services.cli.connections import open_ledger, run
from services.cli.options import Actor, DryRun, Reason, User, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.resolve_account import resolve_account

if TYPE_CHECKING:
    from services.accounts.erase import Erased
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    users = typer.Typer(name="users", no_args_is_help=True, help="What concerns one person.")
    users.callback()(_group)
    users.command("forget")(forget)
    app.add_typer(users)


def _group() -> None:
    """Keeps `forget` a command of its own though the only one."""


def forget(
    user: User,
    reason: Reason,
    actor: Actor,
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
    erased = run("users", lambda settings: _forget(settings, user, actor, reason))
    say(
        f"erased: {erased.texts} texts, {erased.drafts} drafts, {erased.payments} payments' links, "
        f"{erased.files} files, {erased.messages} messages' ids; "
        f"{erased.jobs_failed} unfinished jobs were refunded"
    )
    if not erased.telegram_id_known:
        say("whose account it was had been erased before; what was left is gone now")


async def _plan(settings: Settings, user: str) -> dict[str, Any]:
    from ledger.log.ledger import LogReader
    from ledger.sql import load_queries
    from services.platform.database import create_pool

    query = load_queries("services.accounts")

    account = await resolve_account(settings, user)
    async with await create_pool(settings, "operator", max_size=1) as pool:
        state = await LogReader(pool).account(account)
        row = await pool.fetchrow(query("personal_data_of"), account)
    return {"account": account, "balance": state.balance, "locked_before": state.forgotten, **dict(row or {})}


async def _forget(settings: Settings, user: str, actor: str, reason: str) -> Erased:
    from contextlib import AsyncExitStack

    from services.accounts.erase import Forgetting
    from services.platform.blobs import open_blobs
    from services.platform.redis import command_client

    account = await resolve_account(settings, user)
    async with AsyncExitStack() as stack:
        ledger, pool = await stack.enter_async_context(open_ledger(settings))
        redis = await stack.enter_async_context(command_client(settings))
        forgetting = Forgetting(settings, pool, ledger, open_blobs(settings), redis)
        return await forgetting.forget(account, actor=actor, reason=reason)
