"""`neurocards demo`: play whole cycles with faults and prove that every credit is accounted for."""

from typing import Annotated, Any

import typer

from services.cli.errors import ExitCode
from services.cli.output import Output, OutputFormat, emit, say


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    cycles: Annotated[int, typer.Option(help="How many cycles to play.", min=1, max=1000)] = 20,
    workers: Annotated[int, typer.Option(help="How many generation workers.", min=1, max=16)] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Repeats the mix of an earlier run; a random one by default.")
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Play full cycles with faults through the chat, on a system of their own, and check every credit.

    Everything runs in a temporary folder against the sandbox; your settings and data are not touched.
    """
    import asyncio
    import secrets

    from services.rehearsal.demo import run
    from services.rehearsal.report import watching

    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    say(f"seed {chosen}")
    try:
        with watching(cycles) as watch:
            outcome = asyncio.run(run(cycles, workers, chosen, watch))
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    _emit(outcome, output)
    if not outcome.good:
        say(f"FAILED. Play it again with --seed {chosen}; logs and data are in {outcome.folder}")
        raise typer.Exit(ExitCode.INTEGRITY)
    say("every credit is accounted for")


def _emit(outcome: Any, output: OutputFormat) -> None:
    import json

    from services.rehearsal.report import check_rows, rows

    cycles, checks = rows(outcome.cycles), check_rows(outcome.checks)
    match output:
        case OutputFormat.json:
            whole = {"seed": outcome.seed, "good": outcome.good, "cycles": cycles, "checks": checks}
            typer.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        case _:
            emit(cycles, output)
            emit(checks, output)
