"""The auditor, who ends every scenario: waits until all is at rest, collects, judges, tells the story."""

import asyncio
import time
from typing import TYPE_CHECKING

from services.rehearsal.report import timeline
from services.rehearsal.verdict import unsettled
from tests.support.arena import seed
from tests.support.arena.evidence import Evidence, collect
from tests.support.arena.verdict import GRACE_S, Problem, judge
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.arena.arena import Arena

JOBS_TOLD_MAX = 4
LOG_LINES = 25


class AuditFailed(AssertionError):
    """Some promise was broken. `problems` say which, and for which jobs."""

    def __init__(self, problems: list[Problem]) -> None:
        lines = [f"  {problem.job or '-'}: {problem.what}" for problem in problems]
        super().__init__("\n".join([f"{seed.VARIABLE}={seed.chosen()}", *lines]))
        self.problems = problems


async def audit(arena: "Arena") -> Evidence:
    """Everything holds, or AuditFailed with all that does not."""
    await arena.all_ended(
        (job for order in arena.sellers.orders for job in order.jobs), arena.longest_deadline_s + GRACE_S
    )
    evidence = await collect(arena, await at_rest(arena))
    if problems := judge(evidence, notifier_died=arena.notifier_died):
        raise AuditFailed(problems)
    return evidence


async def at_rest(arena: "Arena") -> list[str]:
    """Wait until nothing is open, owed, behind or pending; what still is so after a while."""
    left: list[str] = []

    async def resting() -> bool:
        left[:] = await unsettled(arena.witness)
        return not left and await arena.nothing_pending()

    started = time.monotonic()
    try:
        await eventually(resting, GRACE_S, interval_s=0.1, what="everything comes to rest")
    except AssertionError:
        left.append(f"not at rest after {time.monotonic() - started:.0f} s")
        return left
    return []


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
    jobs = [problem.job for problem in getattr(error, "problems", ()) if problem.job]
    all_jobs = [job for order in arena.sellers.orders for job in order.jobs]
    jobs = jobs or [job for job in all_jobs if job in str(error)]
    jobs = jobs or [job.job for job in await arena.ledger.read.open_jobs()] or all_jobs
    evidence = await collect(arena, [])
    return [story(evidence, job) for job in list(dict.fromkeys(jobs))[:JOBS_TOLD_MAX]]


def story(evidence: Evidence, job: str) -> str:
    """One job: its events with times, the provider's tasks, the chat's messages."""
    order = next(order for order in evidence.orders if job in order.jobs)
    lines = [f"job {job} of {order.order}, chat {order.seller.chat}", timeline(evidence.story(job))]
    lines += [f"    task {task.task} of submission {task.submission}: {task.state}"
              for task in evidence.tasks if task.job == job]  # fmt: skip
    lines += [f"    delivery {row}" for row in evidence.deliveries if row.job == job]
    for message in evidence.chats[order.seller.chat]:
        words = " ".join((message.get("text") or message.get("caption") or "").split())
        lines.append(f"    {message['date']} message {message['message_id']}: {words[:110]}")
    return "\n".join(lines)
