"""`neurocards models list|history|pause|resume`: which video models may be used, and saying so by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.confirm import Actor, DryRun, Reason, Yes, confirm
from services.cli.options import Limit
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import clock, iso, timed

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from services.platform.settings import Settings

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", autocompletion=shell_completion.models, help="A model's slug, as in the list."
    ),
]


def register(app: typer.Typer) -> None:
    models = typer.Typer(
        name="models", no_args_is_help=True, help="Which video models may be used; pausing one by hand."
    )
    models.command("list")(list_models)
    models.command("history")(history)
    models.command("pause")(pause)
    models.command("resume")(resume)
    app.add_typer(models)


def list_models(output: Output = OutputFormat.table) -> None:
    """Every model of the catalogue as it stands. `alternative`: who makes its videos meanwhile."""
    from services.cli.commands.models.queries import rows
    from services.cli.connections import read

    async def work(pool: Pool, _: Settings) -> list[dict[str, Any]]:
        return await rows(pool)

    emit([timed(row, clock if output is OutputFormat.table else iso) for row in read("models", work)], output)


def history(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", autocompletion=shell_completion.models, help="Only this one."),
    ] = None,
    limit: Limit = 50,
    output: Output = OutputFormat.table,
) -> None:
    """Every change of a model's state, the newest first: who or what, why, when."""
    from services.cli.commands.models.queries import changes
    from services.cli.connections import read

    async def work(pool: Pool, _: Settings) -> list[dict[str, Any]]:
        return await changes(pool, model, limit)

    rows = read("models", work)
    emit([timed(row, clock if output is OutputFormat.table else iso) for row in rows], output)
    say(f"{len(rows)} changes" if len(rows) < limit else f"the newest {limit}; raise --limit for more")


def pause(
    model: Model,
    reason: Reason,
    actor: Actor,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Let no more videos be made by a model, until it is resumed. Every process obeys within seconds.

    What is rendered already goes on. Waiting jobs go to an alternative; without one they are refunded.
    """
    _change(model, "paused", actor, reason, dry_run, yes, output)


def resume(
    model: Model,
    reason: Reason,
    actor: Actor,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Let a model make videos again, whoever or whatever paused it, or although it was failing."""
    _change(model, "available", actor, reason, dry_run, yes, output)


def _change(
    model: str, state: str, actor: str, reason: str, dry_run: bool, yes: bool, output: OutputFormat
) -> None:
    import asyncio

    from services.cli.commands.models.queries import Plan, apply, plan
    from services.cli.environment import prepare

    settings = prepare("models")
    planned: Plan = asyncio.run(plan(settings, model, state))
    emit([planned.as_row() | {"reason": reason, "actor": actor}], output)
    if planned.done_before:
        say(f"{model} is {state} already; nothing was changed")
        return
    confirm(dry_run, yes)
    after = asyncio.run(apply(settings, planned, actor, reason))
    say(f"{model} is {after.state} since {iso(after.since_us)}; every process obeys within seconds")
