"""`neurocards doctor`: checks settings and connections, and says what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connections import settings_here
from services.cli.options import Yes, confirm
from services.cli.output import WIDE, Output, OutputFormat, cell, emit, say

if TYPE_CHECKING:
    from services.cli.doctor import Check


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Also pay a rouble, get it back, send a message and make the cheapest video; asks before.",
        ),
    ] = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Check every setting and connection and say what to do; exit code 1 when something fails."""
    import asyncio

    from services.cli.doctor import State

    checks = asyncio.run(_examine(live, yes))
    if output is OutputFormat.table:
        width = 100 if sys.stdout.isatty() else WIDE
        typer.echo("\n".join(line for check in checks for line in _lines(check, width)))
    else:
        emit([check.as_row() for check in checks], output)
    failed = [check for check in checks if check.state is State.fail]
    warned = sum(check.state is State.warn for check in checks)
    say(
        f"{len(failed)} of {len(checks)} checks failed"
        if failed
        else f"all {len(checks)} checks passed" + (f", {warned} with a warning" if warned else "")
    )
    raise typer.Exit(1 if failed else 0)


def _lines(check: Check, width: int) -> list[str]:
    """A check in lines of `width` columns; what to do begins with an arrow."""
    from textwrap import wrap

    head = f"{check.state:<5} {check.name:<20} "
    room = width - len(head)
    said = wrap(str(cell(check.found)), room, break_on_hyphens=False) or [""]
    advice = wrap(f"→ {cell(check.advice)}", room, break_on_hyphens=False) if check.advice else []
    lines = [*said, *advice]
    return [f"{head if n == 0 else ' ' * len(head)}{line}" for n, line in enumerate(lines)]


async def _examine(live: bool, yes: bool) -> list[Check]:
    """All checks, in the order of mending; with wrong settings only those."""
    from services.cli.doctor import companies, fail, machine, servers, trials
    from services.platform.errors import SettingsError

    try:
        settings = settings_here()
    except SettingsError as error:
        return [
            fail(name, reason.strip(), "set it right in the environment or .env; .env.example explains it")
            for name, _, reason in (problem.partition(":") for problem in error.problems)
        ]
    spent = []
    if live:
        from services.cli.doctor.live import plan, try_live

        say(f"this will cost {plan(settings)}")
        confirm(dry_run=False, yes=yes)
        spent = await try_live(settings, say)
    return [
        *machine.check_env_file(),
        *machine.check_secret_files(settings),
        *machine.check_folders(settings),
        machine.check_styles(),
        machine.check_forget_secret(settings),
        machine.check_callback_secret(settings),
        *machine.check_signing(settings),
        *machine.check_programs(settings),
        *machine.check_ports(settings),
        *await servers.check_database(settings),
        *await servers.check_redis_server(settings),
        *await trials.check_files(settings),
        *await companies.check_companies(settings),
        *await servers.check_kie_keys(settings),
        *await servers.check_notes(settings),
        *await servers.check_alerts(settings),
        *await servers.check_backups(settings),
        *await servers.check_clocks(settings),
        *await companies.check_models(settings),
        *spent,
    ]
