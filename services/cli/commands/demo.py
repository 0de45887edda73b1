"""`neurocards demo`: play whole cycles with faults and prove that every credit is accounted for."""

import json
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import ExitCode
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from services.rehearsal.demo import Outcome


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    cycles: Annotated[int, typer.Option(help="How many cycles to play.", min=1, max=1000)] = 20,
    workers: Annotated[int, typer.Option(help="How many generation workers.", min=1, max=16)] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Repeats the mix of an earlier run; a random one by default.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave its log, databases and files for an auditor to look at.")
    ] = False,
    output: Output = OutputFormat.table,
) -> None:
    """Play full cycles with faults through the chat, and check every credit.

    Everything runs on a separate system in a temporary folder against the sandbox; your settings and data are
    not touched.
    """
    import asyncio
    import secrets

    from services.rehearsal.demo import run

    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    say(f"seed {chosen}")
    try:
        outcome = asyncio.run(run(cycles, workers, chosen, keep=keep))
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    _emit(outcome, output)
    if keep or not outcome.good:
        say(_how_to_look(outcome))
    if not outcome.good:
        say(f"FAILED. Play it again with --seed {chosen}")
        raise typer.Exit(ExitCode.INTEGRITY)
    say("every credit is accounted for")


def _emit(outcome: "Outcome", output: OutputFormat) -> None:
    cycles, checks = outcome.cycle_rows(), outcome.check_rows()
    match output:
        case OutputFormat.json:
            whole = {"seed": outcome.seed, "good": outcome.good, "cycles": cycles, "checks": checks}
            typer.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        case _:
            emit(cycles, output)
            emit(checks, output)


def _how_to_look(outcome: "Outcome") -> str:
    folder = quote(str(outcome.folder))
    job = next((job for cycle in outcome.cycles for job in cycle.jobs), "JOB")
    return f"""its log, databases and files are kept in {outcome.folder}
to look at them, start its databases alone:
    NEUROCARDS_DATA_DIR={folder}/data neurocards up --infra-only
and in another terminal ask:
    export NEUROCARDS_DATA_DIR={folder}/data
    neurocards ledger verify            # silent, exit code 0: everything holds
    neurocards ledger trial-balance     # every credit, in double entry
    neurocards ledger explain {job}
to remove them, once that is stopped:
    rm -r {folder}"""
