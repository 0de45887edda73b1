"""`neurocards promo create|list|disable`: codes that give credits. Each change is one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.confirm import Actor, DryRun, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import clock, iso, optional_us

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from ledger.promotions.commands import CreatePromo, DisablePromo
    from services.platform.settings import Settings

Code = Annotated[
    str,
    typer.Argument(metavar="CODE", help="3 to 32 letters A-Z, digits, hyphens; case makes no difference."),
]


def register(app: typer.Typer) -> None:
    promo = typer.Typer(name="promo", no_args_is_help=True, help="Codes that give credits, once per account.")
    promo.command("create")(create)
    promo.command("list")(list_codes)
    promo.command("disable")(disable)
    app.add_typer(promo)


def create(
    code: Code,
    credits: Annotated[int, typer.Option("--credits", min=1, help="What each account gets.")],
    uses: Annotated[int, typer.Option("--uses", min=1, help="By how many accounts at most.")],
    reason: Reason,
    actor: Actor,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="When the code ends, ISO 8601; never if left out."),
    ] = None,
    life_days: Annotated[
        int | None,
        typer.Option("--life-days", min=1, max=3650, help="How long its credits live; for ever if left out."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Make a code. It is never changed: disable it and make another."""
    from ledger.promotions.commands import CreatePromo
    from ledger.promotions.promo_codes import normalised

    ends_at_us = optional_us(expires, "--expires")
    life_s = None if life_days is None else life_days * 86_400
    command = CreatePromo(normalised(code), credits, uses, ends_at_us, life_s, actor, reason)
    row = {
        "code": command.code, "credits": credits, "uses_max": uses, "expires_at": iso(ends_at_us),
        "life_days": life_days, "reason": reason, "actor": actor,
    }  # fmt: skip
    _change(command, row, dry_run, yes, output)


def disable(
    code: Code,
    reason: Reason,
    actor: Actor,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Let a code give nothing more. What it gave stays."""
    from ledger.promotions.commands import DisablePromo
    from ledger.promotions.promo_codes import normalised

    command = DisablePromo(normalised(code), actor, reason)
    _change(command, {"code": command.code, "reason": reason, "actor": actor}, dry_run, yes, output)


def list_codes(output: Output = OutputFormat.table) -> None:
    """All codes, the newest first, and how often each was used."""
    from services.cli.commands.promo.actions import codes
    from services.cli.connections import read

    async def work(pool: Pool, _: Settings) -> list[dict[str, Any]]:
        return await codes(pool)

    rows = read("promo", work)
    when = clock if output is OutputFormat.table else iso
    times = ("expires_at", "created_at")
    emit([row | {name: when(row[name]) for name in times} for row in rows], output)
    say(f"{len(rows)} codes")


def _change(
    command: CreatePromo | DisablePromo, row: dict[str, Any], dry_run: bool, yes: bool, output: OutputFormat
) -> None:
    import asyncio

    from services.cli.commands.promo.actions import apply, plan
    from services.cli.environment import prepare

    settings = prepare("promo")
    changes = asyncio.run(plan(settings, command))
    emit([row], output)
    if not changes:
        say("it is so already; nothing was changed")
        return
    confirm(dry_run, yes)
    receipt = asyncio.run(apply(settings, command))
    say(f"done at position {receipt.position}")
