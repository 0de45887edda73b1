"""`neurocards credits grant|revoke`: credits given and taken by hand. Each is one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.commands import add_group
from services.cli.connections import acting, execute, run
from services.cli.options import DryRun, Reason, User, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.resolve_account import resolve_account
from services.cli.timespec import optional_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.commands import GrantCredits, RevokeCredits
    from services.operations.credits import Change
    from services.platform.settings import Settings

    CreditCommand = GrantCredits | RevokeCredits

MoneyBehind = Literal["owed", "forfeited"]
Amount = Annotated[int, typer.Argument(metavar="CREDITS", min=1, help="Whole credits.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", help="Name this change: asking twice with one name is asking once. Told when left out."
    ),
]
Money = Annotated[
    MoneyBehind | None,
    typer.Option(help="Whether the money paid for them is owed to the buyer, or forfeited (fraud)."),
]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="TIME", help="When they end, ISO 8601; never if left out.")
]


def register(app: typer.Typer) -> None:
    commands = {"grant": grant, "revoke": revoke}
    add_group(app, "credits", "Give and take credits by hand; each is an event.", commands)


def grant(
    user: User,
    amount: Amount,
    reason: Reason,
    expires: Expires = None,
    key: Key = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Give credits. They are spent before bought ones."""
    from ledger.commands import GrantCredits

    ends_at_us, actor = optional_us(expires, "--expires"), acting("credits")

    def command(account: str) -> GrantCredits:
        return GrantCredits(account, amount, "manual", reason, expires_at_us=ends_at_us, actor=actor)

    _change(user, command, key, dry_run, yes, output)


def revoke(
    user: User,
    amount: Amount,
    reason: Reason,
    money: Money = None,
    key: Key = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Take credits back. May leave less than zero: then nothing can be ordered until that is covered."""
    from ledger.commands import RevokeCredits

    actor = acting("credits")

    def command(account: str) -> RevokeCredits:
        return RevokeCredits(account, amount, reason, actor=actor, money=money)

    _change(user, command, key, dry_run, yes, output)


def _change(
    user: str,
    make: Callable[[str], CreditCommand],
    key: str | None,
    dry_run: bool,
    yes: bool,
    output: OutputFormat,
) -> None:
    from services.platform.ids import new_id

    key = key or new_id()
    planned = run("credits", lambda settings: _plan(settings, user, make, key))
    emit([planned.as_row()], output)
    if planned.receipt is not None:
        say(f"done before, at position {planned.receipt.position}; nothing was changed")
        return
    confirm(dry_run, yes)
    receipt = run("credits", lambda settings: execute(settings, planned.command, planned.key))
    say(f"done at position {receipt.position}; to ask again without doing it again: --key {key}")


async def _plan(settings: Settings, user: str, make: Callable[[str], CreditCommand], name: str) -> Change:
    from services.operations.credits import plan_change
    from services.platform.database import create_pool

    account = await resolve_account(settings, user)
    async with await create_pool(settings, "operator", max_size=1) as pool:
        return await plan_change(pool, make(account), name)
