"""`neurocards credits grant|revoke`: what an operator gives and takes by hand. Each is one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.confirm import Actor, DryRun, Reason, Yes, confirm
from services.cli.options import User
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import optional_us

if TYPE_CHECKING:
    from ledger.commands import GrantCredits, RevokeCredits
    from ledger.log.batch import Receipt

Amount = Annotated[int, typer.Argument(metavar="CREDITS", min=1, help="Whole credits.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", help="Name this change: asking twice with one name is asking once. Told when left out."
    ),
]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="TIME", help="When they end, ISO 8601; never if left out.")
]


def register(app: typer.Typer) -> None:
    credits = typer.Typer(
        name="credits", no_args_is_help=True, help="Give and take credits by hand; each is an event."
    )
    credits.command("grant")(grant)
    credits.command("revoke")(revoke)
    app.add_typer(credits)


def grant(
    user: User,
    amount: Amount,
    reason: Reason,
    actor: Actor,
    expires: Expires = None,
    key: Key = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Give credits. They are spent before bought ones."""
    from ledger.commands import GrantCredits

    ends_at_us = optional_us(expires, "--expires")

    def command(account: str) -> GrantCredits:
        return GrantCredits(account, amount, "manual", reason, expires_at_us=ends_at_us, actor=actor)

    _change(user, command, key, dry_run, yes, output)


def revoke(
    user: User,
    amount: Amount,
    reason: Reason,
    actor: Actor,
    key: Key = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Take credits back. May leave less than zero: then nothing can be ordered until that is covered."""
    from ledger.commands import RevokeCredits

    def command(account: str) -> RevokeCredits:
        return RevokeCredits(account, amount, reason, actor=actor)

    _change(user, command, key, dry_run, yes, output)


def _change(user: str, make: Any, key: str | None, dry_run: bool, yes: bool, output: OutputFormat) -> None:
    import asyncio

    from services.cli.commands.credits.actions import Change, apply, plan
    from services.cli.environment import prepare
    from services.platform.ids import new_id

    settings = prepare("credits")
    key = key or new_id()

    planned: Change = asyncio.run(plan(settings, user, make, key))
    emit([planned.as_row()], output)
    if planned.receipt is not None:
        say(f"done before, at position {planned.receipt.position}; nothing was changed")
        return
    confirm(dry_run, yes)
    receipt: Receipt = asyncio.run(apply(settings, planned))
    say(f"done at position {receipt.position}; to ask again without doing it again: --key {key}")
