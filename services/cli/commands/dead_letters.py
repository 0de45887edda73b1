"""`neurocards dead-letters list|show|requeue|drop`: failed jobs that an operator should look at.

Their sellers have their credits back. Which classes of errors are parked here is said by the error policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.asking import Actor, DryRun, Reason, Yes, confirm
from services.cli.errors import ExitCode
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.when import From, clock, point

if TYPE_CHECKING:
    from services.cli.job_changing import Requeue
    from services.cli.reading import Pool
    from services.shared.settings import Settings

Jobs = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Jobs by id; or select by class.")]
Class = Annotated[
    str | None, typer.Option("--class", metavar="CLASS", help="Only those whose failure is of this class.")
]
Model = Annotated[str | None, typer.Option("--of-model", metavar="MODEL", help="Only those of this model.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


def register(app: typer.Typer) -> None:
    letters = typer.Typer(
        name="dead-letters", no_args_is_help=True, help="Failed jobs that an operator should look at."
    )
    letters.command("list")(list_letters)
    letters.command("show")(show)
    letters.command("requeue")(requeue)
    letters.command("drop")(drop)
    app.add_typer(letters)


def list_letters(
    error_class: Class = None,
    of_model: Model = None,
    since: From = None,
    limit: Limit = 50,
    output: Output = OutputFormat.table,
) -> None:
    """Dead letters, the newest first: failed, refunded, and neither made again nor dropped."""
    rows = _selected(None, error_class, of_model, since, limit)
    emit([_line(row) for row in rows] if output is OutputFormat.table else rows, output)
    say(f"{len(rows)} dead letters" if len(rows) < limit else f"the newest {limit}; raise --limit for more")


def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")],
    output: Output = OutputFormat.table,
) -> None:
    """One dead letter from its payment to its message; the same as `ledger explain`."""
    from services.cli.commands.ledger.explain import explain

    explain(job, output)


def requeue(
    reason: Reason,
    actor: Actor,
    jobs: Jobs = None,
    error_class: Class = None,
    of_model: Model = None,
    since: From = None,
    limit: Limit = 50,
    charge: Annotated[
        bool, typer.Option("--charge", help="Charge the seller like for an order; else it is free.")
    ] = False,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Make them with another model.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Make them again, each as a new job. What is shown is what is done; applying twice is applying once."""
    from services.cli.job_changing import Terms
    from services.cli.requeueing import plan_all

    chosen = [row["job"] for row in _selected(jobs, error_class, of_model, since, limit)]
    plans, refused = plan_all(chosen, Terms(actor, reason, charge, model))
    for job, why in refused:
        say(f"left out: {job}: {why}")
    emit([plan.as_row() for plan in plans], output)
    _require(plans)
    credits = sum(plan.command.price for plan in plans)
    say(f"{len(plans)} jobs to be made again, {credits} credits to be charged")
    confirm(dry_run, yes)
    _do(plans)


def drop(
    reason: Reason,
    actor: Actor,
    jobs: Jobs = None,
    error_class: Class = None,
    of_model: Model = None,
    since: From = None,
    limit: Limit = 50,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Leave them at that: they have been looked at and are not listed any more. Each is an event."""
    from services.cli.requeueing import drop_all

    rows = _selected(jobs, error_class, of_model, since, limit)
    emit([_line(row) for row in rows], output)
    _require(rows)
    confirm(dry_run, yes)
    failed = drop_all([row["job"] for row in rows], actor, reason)
    _conclude("dropped", len(rows), failed)


def _selected(
    jobs: list[str] | None, error_class: str | None, of_model: str | None, since: str | None, limit: int
) -> list[dict[str, Any]]:
    """The selection, frozen: what is shown now is what is changed then."""
    from services.cli.job_reading import DeadLetters, find_dead_letters, rows_of
    from services.cli.reading import read
    from services.shared.error_policy import POLICIES

    parked = [name for name, policy in POLICIES.items() if policy.parks]
    if error_class is not None and error_class not in parked:
        raise typer.BadParameter(f"there are {', '.join(parked)}", param_hint="--class")
    begin = point(since, "--from")
    if since is not None and begin.time_us is None:
        raise typer.BadParameter("give a time like 2026-11-30", param_hint="--from")
    if jobs and (error_class or of_model or since):
        raise typer.BadParameter("name jobs, or select them; not both")
    classes = parked if error_class is None else [error_class]

    async def work(pool: Pool, _: Settings) -> list[dict[str, Any]]:
        if jobs:
            return await rows_of(pool, jobs)
        return await find_dead_letters(pool, DeadLetters(classes, of_model, begin.time_us, limit))

    return read("dead-letters", work)


def _require(chosen: list[Any]) -> None:
    if not chosen:
        say("nothing to do")
        raise typer.Exit(ExitCode.OK)


def _do(plans: list[Requeue]) -> None:
    from services.cli.requeueing import apply_all

    _conclude("made again", len(plans), apply_all(plans))


def _conclude(what: str, of: int, failed: list[tuple[str, str]]) -> None:
    for job, why in failed:
        say(f"not {what}: {job}: {why}")
    say(f"{of - len(failed)} of {of} {what}")
    if failed:
        raise typer.Exit(ExitCode.PARTLY if len(failed) < of else ExitCode.FAILURE)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "job": row["job"],
        "ended": clock(row["ended_at_us"]),
        "class": row["failure_class"],
        "model": row["model"],
        "submissions": row["submissions"],
        "failure": " ".join(filter(None, (row["failure_code"], row["failure_message"][:80]))),
    }
