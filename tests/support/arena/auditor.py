"""The auditor, who ends every scenario: waits until all is at rest, collects, judges, tells the story."""

import asyncio
from typing import TYPE_CHECKING

from services.rehearsal.verdict import Check, Customer, Evidence, collect, judge, tell
from tests.support.arena import seed
from tests.support.arena.sellers import CONFIRM

if TYPE_CHECKING:
    from tests.support.arena.arena import Arena

JOBS_TOLD_MAX = 4
LOG_LINES = 25


class AuditFailed(AssertionError):
    """Some promise was broken. `jobs` are those that a broken one is about."""

    def __init__(self, checks: list[Check]) -> None:
        lines = [f"  {check.name}: {problem}" for check in checks for problem in check.problems]
        super().__init__("\n".join([f"{seed.VARIABLE}={seed.chosen()}", *lines]))
        self.jobs = [problem.job for check in checks for problem in check.problems if problem.job]


async def evidence_of(arena: "Arena", left_open: list[str]) -> Evidence:
    customers = [Customer(seller.chat, seller.credits) for seller in arena.sellers.all]
    evidence = await collect(arena.log_watch, arena.sandbox, customers, left_open, screens=[CONFIRM])
    evidence.may_double = arena.notifier_died
    return evidence


async def audit(arena: "Arena") -> Evidence:
    """Everything holds, or AuditFailed with all that does not."""
    ordered = {job for order in arena.sellers.orders for job in order.jobs}
    await arena.all_ended(ordered, arena.longest_deadline_s + 60)
    evidence = await evidence_of(arena, await arena.log_watch.settle())
    assert ordered == {job for order in evidence.orders for job in order.jobs}, "an order was not judged"
    checks = judge(evidence)
    if any(check.problems for check in checks):
        raise AuditFailed(checks)
    return evidence


async def told(arena: "Arena", error: BaseException) -> str:
    """What to read after a failure: the offending jobs' stories, the ends of the logs. Never raises."""
    parts = []
    try:
        async with asyncio.timeout(60):
            parts += await _stories(arena, error)
    except Exception as trouble:  # the report must not hide the failure it is about
        parts.append(f"no more could be asked: {trouble!r}")
    for name, process in arena.running.items():
        state = "runs" if process.running else f"ended with {process.exit_code}"
        tail = "\n".join(process.log.splitlines()[-LOG_LINES:])
        parts.append(f"--- {name}, {state} ---\n{tail}")
    return "\n".join(parts)


async def _stories(arena: "Arena", error: BaseException) -> list[str]:
    all_jobs = [job for order in arena.sellers.orders for job in order.jobs]
    jobs = getattr(error, "jobs", []) or [job for job in all_jobs if job in str(error)]
    jobs = jobs or [job.job for job in await arena.ledger.read.open_jobs()] or all_jobs
    evidence = await evidence_of(arena, [])
    return [tell(evidence, job) for job in list(dict.fromkeys(jobs))[:JOBS_TOLD_MAX]]
