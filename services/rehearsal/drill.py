"""One drill: sellers come and are served, something breaks, more come, and at the end everything is checked.

usual ──▶ strike ──▶ until who waited or came meanwhile is served ──▶ a few more ──▶ at rest ──▶ checks
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

import httpx
import msgspec

from services.cli.output import say
from services.rehearsal.faults import Drill, Name, hands
from services.rehearsal.load import Load, Sale
from services.rehearsal.log_watch import Witness
from services.rehearsal.running_system import LocalStack
from services.rehearsal.sandbox_control import Sandbox
from services.rehearsal.verdict import LEDGER_CHECKS, settle, submissions
from services.streams.compare import check_streams

CHAT_TIMEOUT_S = 30.0
ANSWER_MORE_S = 60.0
"""What is promised: a seller hears back within the deadline plus a minute."""
SERVED_BEFORE = 3
SERVED_AFTER = 3


class Outcome(msgspec.Struct, frozen=True):
    """What a drill came to. `usual_s`: from /start to the video before the strike, the median.

    `strike_s`: until the broken part worked again. `served_again_s`: from the strike until everybody who
    waited or came during it was served. `slowest_after_s`: of those who came afterwards.
    """

    drill: Name
    done: str
    sellers: int
    videos: int
    waiting: int
    usual_s: float
    strike_s: float
    served_again_s: float
    slowest_after_s: float
    problems: list[str]

    def row(self) -> dict[str, Any]:
        fields = msgspec.to_builtins(self)
        return {**fields, "problems": "; ".join(self.problems) or "none"}


async def run(name: Name, stack: LocalStack, *, every_s: float) -> Outcome:
    """Raises StartError, BackupError, and whatever else the strike itself may raise."""
    answer_s = stack.settings.job_deadline_seconds + ANSWER_MORE_S
    async with httpx.AsyncClient(timeout=CHAT_TIMEOUT_S, trust_env=False) as http:
        load = Load(http, stack.sandbox_url, every_s, answer_s)
        arriving = asyncio.create_task(load.arrive())
        try:
            return await _run(name, Drill(stack, load), arriving, Sandbox(http, stack.sandbox_url))
        finally:
            arriving.cancel()
            await load.end()


async def _run(name: Name, drill: Drill, arriving: asyncio.Task[None], sandbox: Sandbox) -> Outcome:
    load, (prepare, strike) = drill.load, hands(name)
    say(f"sellers come; waiting until {SERVED_BEFORE} of them are served")
    await load.until_ended(SERVED_BEFORE)
    await prepare(drill)
    usual_s = median(sale.seconds for sale in load.ended())
    struck_at, waiting = time.monotonic(), load.waiting()
    say(f"strike: {name}, while {len(waiting)} sellers wait")
    done = await strike(drill)
    over_at = time.monotonic()
    # What the log has forgotten is asked for once more; what is asked from now on is asked once.
    forgotten = {task.task for task in await sandbox.tasks()} if name == "restore" else set()
    say(f"{done}, {over_at - struck_at:.1f} s; more sellers come")
    await load.until_ended(SERVED_AFTER, since=over_at)
    arriving.cancel()
    await load.all_served()
    touched = [*waiting, *(sale for sale in load.sales if struck_at <= sale.began_at < over_at)]
    served_at = max((sale.ended_at or 0 for sale in touched), default=over_at)
    after = [sale.seconds for sale in load.sales if sale.began_at >= over_at]
    say("everybody is served; checking")
    problems = await _problems(drill, sandbox, forgotten, exact=name not in ("restore", "restart-postgres"))
    return Outcome(
        name, done, len(load.sales), sum(sale.video for sale in load.sales), len(waiting),
        round(usual_s, 1), round(over_at - struck_at, 1), round(served_at - struck_at, 1),
        round(max(after), 1), problems,
    )  # fmt: skip


async def _problems(drill: Drill, sandbox: Sandbox, forgotten: set[str], *, exact: bool) -> list[str]:
    """What is not as promised. `exact`: each job was told once; otherwise a message may have come twice."""
    from projections.verify.check import check_ledger

    load = drill.load
    found = [f"seller {sale.user_id}: {sale.problem}" for sale in load.sales if sale.problem]
    async with Witness(drill.stack.settings) as witness:
        found += await settle(witness)
        names = {kind: name for name, kinds in LEDGER_CHECKS.items() for kind in kinds}
        found += [f"{names[one.kind]}: {one.message}" for one in await check_ledger(witness.pool)]
        report = await check_streams(witness.redis, witness.pool)
        found += [f"streams: {problem.message}" for problem in report.problems]
        jobs = {sale.user_id: await witness.jobs_of(sale.user_id) for sale in load.sales}
        known = {job for its in jobs.values() for job in its}
        events = [event for job in known for event in await witness.story(job)]
        tasks = [task for task in await sandbox.tasks() if task.job in known and task.task not in forgotten]
        found += submissions(events, tasks)
    for sale in load.sales:
        found += _told(sale, await load.finals(sale), len(jobs[sale.user_id]), exact)
    return found


def _told(sale: Sale, finals: int, jobs: int, exact: bool) -> list[str]:
    """Whether the seller heard of each job, and of each once."""
    if finals < max(jobs, 1) or (exact and finals > jobs):
        return [f"seller {sale.user_id}: {finals} final messages for {jobs} jobs"]
    return []
