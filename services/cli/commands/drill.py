"""`neurocards drill`: breaks something under load and checks that all sellers are served."""

from enum import StrEnum
from typing import Annotated

import typer

from services.cli.connections import configure_command_logging
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say


class What(StrEnum):
    flush_redis = "flush-redis"
    kill_redis = "kill-redis"
    restart_postgres = "restart-postgres"
    restore = "restore"
    rebuild = "rebuild"


def register(app: typer.Typer) -> None:
    app.command("drill")(drill)


def drill(
    what: Annotated[
        What,
        typer.Argument(metavar="|".join(What), help="What breaks, or is done to it.", show_default=False),
    ],
    every: Annotated[
        float, typer.Option(min=0.1, max=60, help="A new seller comes every so many seconds.")
    ] = 1.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Break something on the running `neurocards up` while sellers order; 3 when a promise was broken.

    Only on a system that keeps its own databases and speaks to the sandbox alone; any other is refused.
    `restore` undoes what came after a moment it chooses, whoever ordered it.
    """
    import asyncio

    from services.platform.settings import load_settings
    from services.rehearsal.drill import run
    from services.rehearsal.system import LocalStack

    settings = load_settings()
    configure_command_logging(settings, "drill")
    stack = LocalStack(settings)
    say(f"{what.value} on {stack.data.root}")
    confirm(dry_run, yes)
    outcome = asyncio.run(run(what.value, stack, every_s=every))
    emit([outcome.row()], output)
    if outcome.problems:
        raise typer.Exit(ExitCode.INTEGRITY)
    say("every promise was kept")
