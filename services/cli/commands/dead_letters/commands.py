"""`neurocards dead-letters list|groups|show|requeue|drop`: failed jobs for an operator.

Their sellers have their credits back. The error policy says which error classes are parked here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.commands import add_group
from services.cli.commands.ledger.events import explain
from services.cli.connections import acting, read
from services.cli.errors import ExitCode
from services.cli.options import Charge, DryRun, Job, Limit, Reason, WithModel, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.outside_words import sentence, with_words
from services.cli.timespec import FromTime, clock, optional_us, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.cli.commands.dead_letters.actions import Applied
    from services.operations.dead_letters import DeadLetters

Jobs = Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Jobs by id; or select by class.")]
Class = Annotated[
    str | None,
    typer.Option(
        "--class",
        metavar="CLASS",
        autocompletion=shell_completion.parked_classes,
        help="Only those whose failure is of this class.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--of-model",
        metavar="MODEL",
        autocompletion=shell_completion.models,
        help="Only those of this model.",
    ),
]
Group = Annotated[str | None, typer.Option("--group", metavar="ID", help="Only this group; see `groups`.")]


def register(app: typer.Typer) -> None:
    commands = {"list": list_letters, "groups": groups, "show": show, "requeue": requeue, "drop": drop}
    add_group(app, "dead-letters", "Failed jobs that an operator should look at.", commands)


def list_letters(
    error_class: Class = None,
    of_model: Model = None,
    group: Group = None,
    since: FromTime = None,
    limit: Limit = 50,
    output: Output = OutputFormat.table,
) -> None:
    """List dead letters, the newest first: failed, refunded, neither requeued nor dropped."""
    rows = _selected(None, _wanted(error_class, of_model, group, since, limit))
    emit([_line(row) if output is OutputFormat.table else timed(row) for row in rows], output)
    say_count(len(rows), limit, "dead letters")


def groups(
    error_class: Class = None,
    of_model: Model = None,
    since: FromTime = None,
    output: Output = OutputFormat.table,
) -> None:
    """Count dead letters by class and code; requeue or drop by id."""
    from services.operations.dead_letters import dead_letter_groups

    wanted = _wanted(error_class, of_model, None, since, 1)
    rows = with_words(read("dead-letters", lambda pool, _: dead_letter_groups(pool, wanted)))
    emit([_group_line(row) if output is OutputFormat.table else timed(row) for row in rows], output)
    say(f"{sum(row['jobs'] for row in rows)} dead letters in {len(rows)} groups")


def show(job: Job, output: Output = OutputFormat.table) -> None:
    """Show one dead letter from payment to message; the same as `ledger explain`."""
    explain(job, output)


def requeue(
    reason: Reason,
    jobs: Jobs = None,
    error_class: Class = None,
    of_model: Model = None,
    group: Group = None,
    since: FromTime = None,
    limit: Limit = 50,
    charge: Charge = False,
    model: WithModel = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="What --dry-run -o json printed: exactly these jobs."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Requeue failed jobs as new jobs. What is shown is what is done; applying twice is applying once."""
    from services.cli.commands.dead_letters import actions as requeueing
    from services.operations.jobs import Terms

    wanted = _wanted(error_class, of_model, group, since, limit)
    shown = requeueing.read_plan(plan) if plan else {}
    if shown and (jobs or _narrowed(wanted)):
        raise typer.BadParameter("the plan says which; name none beside it", param_hint="--plan")
    chosen = list(shown) or [row["job"] for row in _selected(jobs, wanted)]
    plans, refused = requeueing.plan_all(chosen, Terms(acting("dead-letters"), reason, charge, model))
    for job, why in refused:
        say(f"left out: {job}: {why}")
    if shown:
        requeueing.require_planned(plans, shown)
    emit([each.as_row() for each in plans], output)
    _require(plans)
    credits = sum(each.command.price for each in plans)
    say(f"{len(plans)} jobs to be made again, {credits} credits to be charged")
    _say_limit(chosen if not (jobs or shown) else [], limit)
    confirm(dry_run, yes)
    _conclude("made again", len(plans), requeueing.apply_all(plans))


def drop(
    reason: Reason,
    jobs: Jobs = None,
    error_class: Class = None,
    of_model: Model = None,
    group: Group = None,
    since: FromTime = None,
    limit: Limit = 50,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Drop dead letters: looked at, not listed any more. Each is an event."""
    from services.cli.commands.dead_letters.actions import drop_all

    rows = _selected(jobs, _wanted(error_class, of_model, group, since, limit))
    emit([_line(row) for row in rows], output)
    _require(rows)
    say(f"{len(rows)} dead letters to be dropped")
    _say_limit([] if jobs else rows, limit)
    confirm(dry_run, yes)
    actor = acting("dead-letters")
    _conclude("dropped", len(rows), drop_all([row["job"] for row in rows], actor, reason))


def _wanted(
    error_class: str | None, of_model: str | None, group: str | None, since: str | None, limit: int
) -> DeadLetters:
    from services.generation.error_classes import POLICIES
    from services.operations.dead_letters import DeadLetters

    parked = [name for name, policy in POLICIES.items() if policy.parks]
    if error_class is not None and error_class not in parked:
        raise typer.BadParameter(f"there are {', '.join(parked)}", param_hint="--class")
    classes = parked if error_class is None else [error_class]
    return DeadLetters(classes, of_model, optional_us(since, "--from"), group, limit)


def _narrowed(wanted: DeadLetters) -> bool:
    return len(wanted.classes) == 1 or bool(wanted.model or wanted.since_us or wanted.group)


def _selected(jobs: list[str] | None, wanted: DeadLetters) -> list[dict[str, Any]]:
    from services.operations.dead_letters import find_dead_letters
    from services.operations.jobs import rows_of

    if jobs and _narrowed(wanted):
        raise typer.BadParameter("name jobs, or select them; not both")
    return with_words(
        read("dead-letters", lambda pool, _: rows_of(pool, jobs) if jobs else find_dead_letters(pool, wanted))
    )


def _require(chosen: list[Any]) -> None:
    if not chosen:
        say("nothing to do")
        raise typer.Exit(ExitCode.OK)


def _say_limit(selected: Sequence[object], limit: int) -> None:
    if len(selected) == limit:
        say(f"only the newest {limit}: raise --limit for more, or ask again when these are done")


def _conclude(what: str, of: int, applied: Applied) -> None:
    for job, why in applied.refused:
        say(f"not {what}: {job}: {why}")
    say(f"{applied.done} of {of} {what}")
    if applied.stopped:
        say("stopped; the same command goes on with the rest")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if applied.refused:
        raise typer.Exit(ExitCode.PARTLY if applied.done else ExitCode.FAILURE)


def _group_line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": row["group"],
        "class": row["failure_class"],
        "jobs": row["jobs"],
        "sellers": row["sellers"],
        "first": clock(row["first_at_us"]),
        "last": clock(row["last_at_us"]),
        "models": row["models"],
        "cause": _cause(row),
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "job": row["job"],
        "ended": clock(row["ended_at_us"]),
        "class": row["failure_class"],
        "model": row["model"],
        "submissions": row["submissions"],
        "failure": _cause(row),
    }


def _cause(row: dict[str, Any]) -> str:
    return " ".join(filter(None, (row["failure_code"], sentence(row["words"]))))
