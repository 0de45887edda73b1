"""`neurocards jobs list|show|retry|cancel|fail`: jobs, and changing them by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli import shell_completion
from services.cli.commands import add_group
from services.cli.commands.ledger.events import explain
from services.cli.connections import acting, execute, read, run
from services.cli.options import Charge, DryRun, Job, Limit, Reason, WithModel, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.outside_words import sentence, with_words
from services.cli.resolve_account import read_account
from services.cli.timespec import FromTime, clock, gap, optional_us, timed

if TYPE_CHECKING:
    from ledger.log.batch import Receipt
    from services.platform.settings import Settings

State = Literal["queued", "writing", "submitting", "rendering", "retrying", "succeeded", "failed", "open"]


def register(app: typer.Typer) -> None:
    commands = {"list": list_jobs, "show": show, "retry": retry, "cancel": cancel, "fail": fail}
    add_group(app, "jobs", "What is being made, and what became of it.", commands)


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
    """List jobs, the newest first, as the read model has them."""
    from services.operations.jobs import Wanted, find_jobs

    begin_us = optional_us(since, "--from")
    _require_class(error_class)
    found = with_words(
        read_account(
            "jobs",
            user,
            lambda pool, account: find_jobs(pool, Wanted(state, account, error_class, begin_us, limit)),
        )
    )
    emit([_line(row) if output is OutputFormat.table else timed(row) for row in found], output)
    say_count(len(found), limit, "jobs")


def show(job: Job, output: Output = OutputFormat.table) -> None:
    """Show one job from payment to message; the same as `ledger explain`."""
    explain(job, output)


def retry(
    job: Job,
    reason: Reason,
    charge: Charge = False,
    model: WithModel = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Retry a failed job as a new job; the seller is told. Asking twice is asking once."""
    from services.operations.jobs import Terms, plan_requeue

    terms = Terms(acting("jobs"), reason, charge, model)
    plan = read("jobs", lambda pool, settings: plan_requeue(pool, settings, job, terms))
    emit([plan.as_row()], output)
    confirm(dry_run, yes)
    receipt = run("jobs", lambda settings: execute(settings, plan.command, plan.key))
    say(f"made again as {plan.command.as_job} at position {receipt.position}")


def cancel(
    job: Job,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Cancel an unfinished job: it fails, is refunded, and the seller told. An event."""
    _end(job, "cancelled", reason, dry_run, yes, output)


def fail(
    job: Job,
    reason: Reason,
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
    """Fail a job with an error class's words; its credits come back. An event."""
    _require_class(error_class)
    _end(job, error_class, reason, dry_run, yes, output)


def _require_class(error_class: str | None) -> None:
    from services.generation.error_classes import POLICIES

    if error_class is not None and error_class not in POLICIES:
        raise typer.BadParameter(f"there are {', '.join(POLICIES)}", param_hint="--class")


def _end(job: str, error_class: str, reason: str, dry_run: bool, yes: bool, output: OutputFormat) -> None:
    from services.operations.jobs import end_job, running_job

    state = read("jobs", lambda pool, _: running_job(pool, job))
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
    actor = acting("jobs")

    async def end(settings: Settings) -> Receipt:
        life_s = settings.refund_life_seconds
        return await execute(
            settings, *end_job(job, state.account, error_class, actor, reason, refund_life_s=life_s)
        )

    receipt = run("jobs", end)
    say(f"ended at position {receipt.position}, {state.price} credits came back")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["ended_at_us"]
    took = "" if ended is None else gap((ended - row["queued_at_us"]) / 1e6)
    said = (row["failure_class"], row["failure_code"], sentence(row["words"], 60))
    return {
        "job": row["job"],
        "queued": clock(row["queued_at_us"]),
        "state": row["state"],
        "took": took,
        "run": row["run"],
        "submissions": row["submissions"],
        "failure": " ".join(filter(None, said)),
    }
