"""`neurocards promo create|list|disable`: promo codes. Each change is one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands import add_group
from services.cli.connections import acting, decided, execute, read, run
from services.cli.options import DryRun, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import iso, optional_us, timed_for

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from ledger.promotions.commands import CreatePromo, DisablePromo
    from services.platform.settings import Settings

Code = Annotated[
    str,
    typer.Argument(metavar="CODE", help="3 to 32 letters A-Z, digits, hyphens; case makes no difference."),
]


def register(app: typer.Typer) -> None:
    commands = {"create": create, "list": list_codes, "disable": disable}
    add_group(app, "promo", "Codes that give credits, once per account.", commands)


def create(
    code: Code,
    credits: Annotated[int, typer.Option("--credits", min=1, help="What each account gets.")],
    uses: Annotated[int, typer.Option("--uses", min=1, help="By how many accounts at most.")],
    reason: Reason,
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
    """Create a promo code. It is never changed: disable it and make another."""
    from ledger.promotions.commands import CreatePromo
    from ledger.promotions.promo_codes import normalised

    ends_at_us, actor = optional_us(expires, "--expires"), acting("promo")
    life_s = None if life_days is None else life_days * 86_400
    command = CreatePromo(normalised(code), credits, uses, ends_at_us, life_s, actor, reason)
    row = {
        "code": command.code, "credits": credits, "uses_max": uses, "expires_at": iso(ends_at_us),
        "life_days": life_days, "reason": reason, "actor": actor,
    }  # fmt: skip
    say(f"opens the chat and redeems it: {run('promo', lambda settings: _link(settings, command.code))}")
    _change(command, row, dry_run, yes, output)


async def _link(settings: Settings, code: str) -> str:
    from services.adapters.telegram.client import bot_name, start_link

    return start_link(await bot_name(settings), f"promo_{code}")


def disable(
    code: Code,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Disable a promo code. What it gave stays."""
    from ledger.promotions.commands import DisablePromo
    from ledger.promotions.promo_codes import normalised

    actor = acting("promo")
    command = DisablePromo(normalised(code), actor, reason)
    _change(command, {"code": command.code, "reason": reason, "actor": actor}, dry_run, yes, output)


def list_codes(output: Output = OutputFormat.table) -> None:
    """List promo codes, the newest first, and how often each was used."""

    rows = read("promo", lambda pool, _: _codes(pool))
    emit([timed_for(row, output) for row in rows], output)
    say(f"{len(rows)} codes")


async def _codes(pool: Pool) -> list[dict[str, Any]]:
    import msgspec

    from events.promo import PromoCreated
    from ledger.sql import load_queries

    rows = await pool.fetch(load_queries("services.cli.commands")("promo_codes"))
    found = []
    for row in rows:
        created = msgspec.json.decode(row["data"], type=PromoCreated)
        found.append(
            {
                "code": created.code,
                "credits": created.amount,
                "used": row["used"],
                "uses_max": created.uses_max,
                "disabled": row["disabled"],
                "expires_at_us": created.expires_at_us,
                "created_at_us": row["recorded_at_us"],
                "reason": created.reason,
                "actor": created.actor,
            }
        )
    return found


def _change(
    command: CreatePromo | DisablePromo, row: dict[str, Any], dry_run: bool, yes: bool, output: OutputFormat
) -> None:
    from ledger.promotions.commands import key_of

    made = run("promo", lambda settings: decided(settings, command))
    emit([row], output)
    if not made:
        say("it is so already; nothing was changed")
        return
    confirm(dry_run, yes)
    receipt = run("promo", lambda settings: execute(settings, command, key_of(command)))
    say(f"done at position {receipt.position}")
