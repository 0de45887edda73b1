"""Bulk requeue and drop of dead letters: plan, then apply one by one, idempotently.

A plan is frozen: only what was shown is done, however many dead letters have come since. It may be stopped
anywhere and asked for again: each job has an idempotency key of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from events.errors import NeurocardsError
from ledger.errors import LedgerError
from ledger.log.ledger import Ledger
from services.cli.connections import open_ledger, prepare, read
from services.cli.options import read_file
from services.cli.progress import walks
from services.operations.jobs import NotOfferedError, Requeue, Terms, drop, plan_requeue
from services.platform.settings import Settings

if TYPE_CHECKING:
    from ledger.postgres import Pool

Refused = list[tuple[str, str]]
"""Jobs, and why not."""

PLAN_BYTES_MAX = 20_000_000

_PLANNED = ("job", "as_job", "model", "charge")


class PlanError(NeurocardsError):
    """The file is not what `--dry-run -o json` or `-o jsonl` printed."""


class Applied(msgspec.Struct):
    done: int = 0
    refused: Refused = []
    stopped: bool = False


def plan_all(jobs: Sequence[str], terms: Terms) -> tuple[list[Requeue], Refused]:
    """What the ledger would do and refuse. Raises NothingOfThatNameError for an unknown job."""

    async def work(pool: "Pool", settings: Settings) -> tuple[list[Requeue], Refused]:
        plans: list[Requeue] = []
        refused: Refused = []
        with walks("plan", ["planned"], 0, len(jobs), "jobs") as progress:
            for number, job in enumerate(jobs, start=1):
                try:
                    plans.append(await plan_requeue(pool, settings, job, terms))
                except (LedgerError, NotOfferedError) as error:
                    refused.append((job, str(error)))
                progress("planned", number)
        return plans, refused

    return read("dead-letters", work)


def read_plan(file: Path) -> dict[str, dict[str, Any]]:
    """Job → its row of the plan that was shown. Raises PlanError; Exit for an unreadable file."""
    text = read_file(file, PLAN_BYTES_MAX)
    try:
        rows = msgspec.json.decode(text) if text.lstrip()[:1] == b"[" else _lines(text)
        return {row["job"]: {name: row[name] for name in _PLANNED} for row in rows}
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise PlanError(f"{file} is no plan as --dry-run -o json prints it: {error!r}") from error


def _lines(text: bytes) -> list[Any]:
    return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]


def require_planned(plans: Sequence[Requeue], shown: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise PlanError when the plan differs from the one that was shown."""
    for plan in plans:
        row = plan.as_row()
        now = {name: row[name] for name in _PLANNED}
        if now != shown[plan.job]:
            raise PlanError(f"{plan.job} was planned as {shown[plan.job]} and would be {now}; plan again")


def apply_all(plans: Sequence[Requeue]) -> Applied:
    by_job = {plan.job: plan for plan in plans}

    async def one(ledger: Ledger, job: str) -> object:
        return await ledger.execute(by_job[job].command, key=by_job[job].key)

    return _each(list(by_job), one)


def drop_all(jobs: Sequence[str], actor: str, reason: str) -> Applied:
    async def one(ledger: Ledger, job: str) -> object:
        command, key = drop(job, actor, reason)
        return await ledger.execute(command, key=key)

    return _each(jobs, one)


def _each(jobs: Sequence[str], one: Callable[[Ledger, str], Awaitable[object]]) -> Applied:
    settings = prepare("dead-letters")
    applied = Applied()

    async def run() -> None:
        async with open_ledger(settings) as (ledger, _):
            with walks("apply", ["applied"], 0, len(jobs), "jobs") as progress:
                for number, job in enumerate(jobs, start=1):
                    try:
                        await one(ledger, job)
                        applied.done += 1
                    except NeurocardsError as error:
                        applied.refused.append((job, str(error)))
                    progress("applied", number)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        applied.stopped = True
    return applied
