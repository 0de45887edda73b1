"""Find jobs; retry, cancel, fail and drop them: each an event with actor and reason."""

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from events.errors import NeurocardsError
from events.job import Failure
from ledger.commands import DropDeadLetter, FailJob, RequeueJob
from ledger.errors import JobFinishedError
from ledger.jobs.state import JobState
from ledger.log.reader import LogReader
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from services.generation.catalogue import load_catalogue
from services.platform.settings import Settings

if TYPE_CHECKING:
    from ledger.postgres import Pool


query = load_queries("services.operations")


class NotOfferedError(NeurocardsError):
    """The job cannot be made with this model."""


class Requeue(msgspec.Struct, frozen=True):
    job: str
    state: JobState
    command: RequeueJob

    @property
    def key(self) -> str:
        return f"requeue:{self.job}"

    def as_row(self) -> dict[str, Any]:
        failure = self.state.failure or Failure("")
        return {
            "job": self.job,
            "account": self.state.account,
            "failure": failure.error_class,
            "as_job": self.command.as_job,
            "model": self.command.model,
            "charge": self.command.price,
        }


class Terms(msgspec.Struct, frozen=True):
    actor: str
    reason: str
    charge: bool = False
    model: str | None = None


async def running_job(pool: "Pool", job: str) -> JobState:
    """State of an unfinished job. Raises NothingOfThatNameError, JobFinishedError."""
    state = await known_job(pool, job)
    if state.outcome:
        raise JobFinishedError(state.outcome)
    return state


async def known_job(pool: "Pool", job: str) -> JobState:
    """Raises NothingOfThatNameError."""
    state = await LogReader(pool).job(job)
    if not state.account:
        raise NothingOfThatNameError(f"there is no job {job!r}")
    return state


async def plan_requeue(pool: "Pool", settings: Settings, job: str, terms: Terms) -> Requeue:
    """Plan a requeue. Raises what `requeue` raises, and the ledger's rejections."""
    plan = await requeue(pool, settings, job, terms)
    await LogReader(pool).decided(plan.command)
    return plan


async def requeue(pool: "Pool", settings: Settings, job: str, terms: Terms) -> Requeue:
    """Requeue without asking whether it may be. Raises NothingOfThatNameError, NotOfferedError."""
    state = await known_job(pool, job)
    slug = terms.model or (state.queued.model if state.queued else "")
    model = load_catalogue().model(slug)
    if model is None or not model.enabled:
        raise NotOfferedError(f"the catalogue offers no model {slug!r}; name another one with --model")
    deadline_s = max(1, int(min(settings.job_deadline_seconds, model.deadline_s)))
    command = RequeueJob(
        job=job,
        account=state.account,
        as_job=sha256(f"requeue:{job}".encode()).hexdigest()[:24],
        price=model.price_credits if terms.charge else 0,
        model=slug,
        deadline_s=deadline_s,
        reason=terms.reason,
        actor=terms.actor,
    )
    return Requeue(job, state, command)


def end_job(
    job: str, account: str, error_class: str, actor: str, reason: str, *, refund_life_s: int
) -> tuple[FailJob, str]:
    """Command and key that fail the job and refund its charge."""
    failure = Failure(error_class, "operator")
    command = FailJob(
        job, account, "operator", failure, refund_life_s=refund_life_s, actor=actor, reason=reason
    )
    return command, f"fail:{job}:operator"


def drop(job: str, actor: str, reason: str) -> tuple[DropDeadLetter, str]:
    """Command and key that drop the dead letter."""
    return DropDeadLetter(job, reason, actor), f"drop:{job}"


class Wanted(msgspec.Struct, frozen=True):
    """Filter of jobs; None: any. `state` is one of job_status, or `open`."""

    state: str | None
    account: str | None
    error_class: str | None
    since_us: int | None
    limit: int


async def find_jobs(pool: "Pool", wanted: Wanted) -> list[dict[str, Any]]:
    """Rows of job_status, the newest first."""
    rows = await pool.fetch(query("find_jobs"), *msgspec.structs.astuple(wanted))
    return [dict(row) for row in rows]


async def rows_of(pool: "Pool", jobs: list[str]) -> list[dict[str, Any]]:
    """Rows of job_status, in the order of `jobs`. Raises NothingOfThatNameError."""
    rows = {row["job"]: dict(row) for row in await pool.fetch(query("jobs_named"), jobs)}
    for job in jobs:
        if job not in rows:
            raise NothingOfThatNameError(f"the read model knows no job {job!r}")
    return [rows[job] for job in dict.fromkeys(jobs)]
