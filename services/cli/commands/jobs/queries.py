"""Queries of `neurocards jobs` and `dead-letters` over the read model."""

from typing import TYPE_CHECKING, Any

import msgspec

from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError

if TYPE_CHECKING:
    from ledger.postgres import Pool


query = load_queries("services.cli.commands.jobs")


class Wanted(msgspec.Struct, frozen=True):
    """Filter of jobs; None: any. `state` is one of job_status, or `open`."""

    state: str | None
    account: str | None
    error_class: str | None
    since_us: int | None
    limit: int


async def find_jobs(pool: "Pool", wanted: Wanted) -> list[dict[str, Any]]:
    rows = await pool.fetch(query("find_jobs"), *msgspec.structs.astuple(wanted))
    return [dict(row) for row in rows]


class DeadLetters(msgspec.Struct, frozen=True):
    """Filter of dead letters; None: any. `group`: short id of a class and code."""

    classes: list[str]
    model: str | None
    since_us: int | None
    group: str | None
    limit: int


async def find_dead_letters(pool: "Pool", wanted: DeadLetters) -> list[dict[str, Any]]:
    rows = await pool.fetch(query("find_dead_letters"), *msgspec.structs.astuple(wanted))
    return [dict(row) for row in rows]


async def dead_letter_groups(pool: "Pool", wanted: DeadLetters) -> list[dict[str, Any]]:
    """Dead letters by class and code, the largest groups first; without a limit."""
    rows = await pool.fetch(query("dead_letter_groups"), wanted.classes, wanted.model, wanted.since_us)
    return [dict(row) for row in rows]


async def rows_of(pool: "Pool", jobs: list[str]) -> list[dict[str, Any]]:
    """Rows of job_status, in the order of `jobs`. Raises NothingOfThatNameError."""
    rows = {row["job"]: dict(row) for row in await pool.fetch(query("jobs_named"), jobs)}
    for job in jobs:
        if job not in rows:
            raise NothingOfThatNameError(f"the read model knows no job {job!r}")
    return [rows[job] for job in dict.fromkeys(jobs)]
