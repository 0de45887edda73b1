"""`neurocards jobs list|show|retry|cancel|fail`: what is being made, and what is done about it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli import shell_completion
from services.cli.confirm import Actor, DryRun, Reason, Yes, confirm
from services.cli.options import Charge, Job, Limit, WithModel
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import FromTime, clock, gap, optional_us, timed

if TYPE_CHECKING:
    from ledger.jobs.state import JobState
    from ledger.postgres import Pool
    from services.cli.commands.jobs.actions import Requeue
    from services.platform.settings import Settings

State = Literal["queued", "writing", "submitting", "rendering", "retrying", "succeeded", "failed", "open"]


def register(app: typer.Typer) -> None:
    jobs = typer.Typer(name="jobs", no_args_is_help=True, help="What is being made, and what became of it.")
    jobs.command("list")(list_jobs)
    jobs.command("show")(show)
    jobs.command("retry")(retry)
    jobs.command("cancel")(cancel)
    jobs.command("fail")(fail)
    app.add_typer(jobs)


def list_jobs(
    state: Annotated[
        State | None,
        typer.Option("--state", help="Only jobs in this state; `open`: all that have not ended."),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Only a user's jobs.")] = None,
    error_class: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            autocompletion=shell_completion.error_classes,
            help="Only jobs whose last failure is of this class.",
        ),
    ] = None,
    since: FromTime = None,
    limit: Limit = 50,
    output: Output = OutputFormat.table,
) -> None:
    """Jobs, the newest first, as the read model has them."""
    from services.cli.commands.jobs.queries import Wanted, find_jobs
    from services.cli.connections import read
    from services.cli.resolve_account import resolve_account

    begin_us = optional_us(since, "--from")
    _require_class(error_class)

    async def work(pool: Pool, settings: Settings) -> list[dict[str, Any]]:
        account = None if user is None else await resolve_account(settings, user)
        return await find_jobs(pool, Wanted(state, account, error_class, begin_us, limit))

    found = read("jobs", work)
    emit([_line(row) if output is OutputFormat.table else timed(row) for row in found], output)
    say(f"{len(found)} jobs" if len(found) < limit else f"the newest {limit}; raise --limit for more")


def show(job: Job, output: Output = OutputFormat.table) -> None:
    """One job from its payment to its message; the same as `ledger explain`."""
    from services.cli.commands.ledger.explain import explain

    explain(job, output)


def retry(
    job: Job,
    reason: Reason,
    actor: Actor,
    charge: Charge = False,
    model: WithModel = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Make a failed job again, as a new job that the seller is told of. Asking twice is asking once."""
    import asyncio

    from services.cli.commands.jobs.actions import Terms, apply_requeue, plan_requeue
    from services.cli.connections import read
    from services.cli.environment import prepare

    async def look(pool: Pool, settings: Settings) -> Requeue:
        return await plan_requeue(pool, settings, job, Terms(actor, reason, charge, model))

    plan = read("jobs", look)
    emit([plan.as_row()], output)
    confirm(dry_run, yes)
    settings = prepare("jobs")
    receipt = asyncio.run(apply_requeue(settings, plan))
    say(f"made again as {plan.command.as_job} at position {receipt.position}")


def cancel(
    job: Job,
    reason: Reason,
    actor: Actor,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """End a job that has not ended: it fails, its credits come back, the seller is told. An event."""
    _end(job, "cancelled", reason, actor, dry_run, yes, output)


def fail(
    job: Job,
    reason: Reason,
    actor: Actor,
    error_class: Annotated[
        str,
        typer.Option(
            "--class",
            metavar="CLASS",
            autocompletion=shell_completion.error_classes,
            help="What the seller is told: a class of the error policy.",
        ),
    ] = "our_fault",
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """End a job as failed, with the words of a class of errors; its credits come back. An event."""
    _require_class(error_class)
    _end(job, error_class, reason, actor, dry_run, yes, output)


def _require_class(error_class: str | None) -> None:
    from services.generation.error_classes import POLICIES

    if error_class is not None and error_class not in POLICIES:
        raise typer.BadParameter(f"there are {', '.join(POLICIES)}", param_hint="--class")


def _end(
    job: str, error_class: str, reason: str, actor: str, dry_run: bool, yes: bool, output: OutputFormat
) -> None:
    import asyncio

    from events.job import Failure
    from services.cli.commands.jobs.actions import end_job, running_job
    from services.cli.connections import read
    from services.cli.environment import prepare

    async def look(pool: Pool, _: Settings) -> JobState:
        return await running_job(pool, job)

    state = read("jobs", look)
    task = "" if state.live_submission is None else state.live_submission.task or "unknown"
    row = {
        "job": job,
        "account": state.account,
        "run": state.run,
        "provider_task": task,
        "refund": state.price,
        "class": error_class,
    }
    emit([row], output)
    if task:
        say("the provider cannot be told to stop: a video that comes after all is given free")
    confirm(dry_run, yes)
    settings = prepare("jobs")
    receipt = asyncio.run(
        end_job(settings, job, state.account, actor, Failure(error_class, "operator", reason))
    )
    say(f"ended at position {receipt.position}, {state.price} credits came back")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["ended_at_us"]
    took = "" if ended is None else gap((ended - row["queued_at_us"]) / 1e6)
    failure = " ".join(filter(None, (row["failure_class"], row["failure_message"][:60])))
    return {
        "job": row["job"],
        "queued": clock(row["queued_at_us"]),
        "state": row["state"],
        "took": took,
        "run": row["run"],
        "submissions": row["submissions"],
        "failure": failure,
    }
