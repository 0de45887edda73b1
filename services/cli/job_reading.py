"""What `neurocards jobs` reads and does."""

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from events.job import MESSAGE_CHARS_MAX, Failure
from ledger.commands import FailJob
from ledger.errors import JobFinished
from ledger.job_state import JobState
from ledger.log import LogReader
from ledger.receipt import Receipt
from projections.errors import NothingOfThatName
from services.cli.operating import open_ledger
from services.shared.settings import Settings
from services.shared.sql import query

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class Wanted(msgspec.Struct, frozen=True):
    """Which jobs; None: whatever it is. `state` is one of job_status, or `open`."""

    state: str | None
    account: str | None
    error_class: str | None
    since_us: int | None
    limit: int


async def find_jobs(pool: "Pool", wanted: Wanted) -> list[dict[str, Any]]:
    """Rows of job_status, the newest first."""
    rows = await pool.fetch(query("find_jobs"), *msgspec.structs.astuple(wanted))
    return [dict(row) for row in rows]


async def running_job(pool: "Pool", job: str) -> JobState:
    """The job, from the log. Raises NothingOfThatName when it is unknown, JobFinished when it has ended."""
    state = await LogReader(pool).job(job)
    if not state.account:
        raise NothingOfThatName(f"there is no job {job!r}")
    if state.outcome:
        raise JobFinished(state.outcome)
    return state


async def cancel_job(settings: Settings, job: str, account: str, actor: str, reason: str) -> Receipt:
    """Fail the job and refund its charge. Raises JobFinished when somebody was faster."""
    failure = Failure("cancelled", "operator", reason[:MESSAGE_CHARS_MAX])
    command = FailJob(
        job, account, "operator", failure, actor=actor, refund_life_s=settings.refund_life_seconds
    )
    async with open_ledger(settings) as (ledger, _):
        return await ledger.execute(command, key=f"fail:{job}:operator")
