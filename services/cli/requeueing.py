"""Bulk changes of dead letters: planned one by one, then applied one by one; each is known by its own key."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from events.errors import NeurocardsError
from ledger.errors import LedgerError
from ledger.log import Ledger
from services.cli.environment import configure_command_logging, settings_here
from services.cli.job_changing import NotOffered, Requeue, Terms, drop, plan_requeue
from services.cli.operating import open_ledger
from services.cli.reading import read
from services.shared.settings import Settings

if TYPE_CHECKING:
    from services.cli.reading import Pool

Refused = list[tuple[str, str]]
"""Jobs, and why not."""


def plan_all(jobs: Sequence[str], terms: Terms) -> tuple[list[Requeue], Refused]:
    """What the ledger would do, and what it would refuse. Raises NothingOfThatName for a job nobody knows."""

    async def work(pool: "Pool", settings: Settings) -> tuple[list[Requeue], Refused]:
        plans: list[Requeue] = []
        refused: Refused = []
        for job in dict.fromkeys(jobs):
            try:
                plans.append(await plan_requeue(pool, settings, job, terms))
            except (LedgerError, NotOffered) as error:
                refused.append((job, str(error)))
        return plans, refused

    return read("dead-letters", work)


def apply_all(plans: Sequence[Requeue]) -> Refused:
    """Make them again; those that were refused meanwhile, and why."""
    by_job = {plan.job: plan for plan in plans}

    async def one(ledger: Ledger, job: str) -> object:
        return await ledger.execute(by_job[job].command, key=by_job[job].key)

    return _each(list(by_job), one)


def drop_all(jobs: Sequence[str], actor: str, reason: str) -> Refused:
    """Leave them at that; those that were refused, and why."""
    return _each(jobs, lambda ledger, job: drop(ledger, job, actor, reason))


def _each(jobs: Sequence[str], one: Callable[[Ledger, str], Awaitable[object]]) -> Refused:
    settings = settings_here()
    configure_command_logging(settings, "dead-letters")

    async def run() -> Refused:
        refused: Refused = []
        async with open_ledger(settings) as (ledger, _):
            for job in jobs:
                try:
                    await one(ledger, job)
                except NeurocardsError as error:
                    refused.append((job, str(error)))
        return refused

    return asyncio.run(run())
