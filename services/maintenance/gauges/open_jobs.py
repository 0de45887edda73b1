"""Measures the jobs that are open, and the failed ones that wait for an operator.

By the database's clock, so that the monitor's own does not matter. How many there are, and how old, is read
from what the ledger itself keeps; the state of each from the read model `job_status`, which may be behind.
"""

from typing import get_args

import msgspec

from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.models.job_status import ENDED, State
from services.generation.error_classes import POLICIES
from services.monitor.metrics import (
    DEAD_LETTERS,
    DEADLINE_AT,
    IN_STATE,
    OLDEST_AT,
    OPEN,
    OVERDUE,
    UNSTARTED_AT,
)

query = load_queries("services.maintenance")


PARKED = tuple(name for name, policy in POLICIES.items() if policy.parks)
STATES = tuple(state for state in get_args(State) if state not in ENDED)


class Summary(msgspec.Struct, frozen=True):
    """Times are epoch seconds, None without such a job: see open_jobs_summary.sql."""

    open_jobs: int
    overdue_jobs: int
    oldest_at_s: float | None
    unstarted_at_s: float | None
    deadline_at_s: float | None
    now_s: float


class OpenJobsSummary:
    """`run_once` every few seconds."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run_once(self) -> Summary:
        """Read the numbers and set the gauges."""
        row = await self._pool.fetchrow(query("open_jobs_summary"))
        assert row is not None
        found = Summary(*row)
        OPEN.set(found.open_jobs)
        OVERDUE.set(found.overdue_jobs)
        OLDEST_AT.set(found.oldest_at_s or 0)
        UNSTARTED_AT.set(found.unstarted_at_s or 0)
        DEADLINE_AT.set(found.deadline_at_s or 0)
        states = {row["state"]: row["jobs"] for row in await self._pool.fetch(query("open_jobs_by_state"))}
        for state in STATES:
            IN_STATE.labels(state).set(states.get(state, 0))
        rows = await self._pool.fetch(query("dead_letters"), PARKED)
        parked = {row["failure_class"]: row["jobs"] for row in rows}
        for error_class in PARKED:
            DEAD_LETTERS.labels(error_class).set(parked.get(error_class, 0))
        return found

    async def measure(self) -> int:
        """For `repeat`: how many jobs are open."""
        return (await self.run_once()).open_jobs
