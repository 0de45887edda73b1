"""One drill: sellers are served, something breaks, more come, everything is judged.

usual ──▶ strike ──▶ until who waited or came meanwhile is served ──▶ a few more ──▶ at rest ──▶ verdict
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

import msgspec

from services.cli.output import say
from services.rehearsal.chat_client import Sandbox, open_http
from services.rehearsal.faults import Drill, Name, hands
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.seller import Load
from services.rehearsal.system import LocalStack
from services.rehearsal.verdict import GRACE_S, Customer, collect, judge

SERVED_BEFORE = 3
SERVED_AFTER = 3
_INEXACT: tuple[Name, ...] = ("restore", "restart-postgres")
"""Drills after which a message may have come twice."""


class Outcome(msgspec.Struct, frozen=True):
    """Outcome of a drill. `usual_s`: median from /start to the video before the strike.

    `strike_s`: until the broken part worked again. `served_again_s`: from the strike until all who waited or
    came during it were served. `slowest_after_s`: of those who came afterwards.
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
    answer_s = stack.settings.job_deadline_seconds + GRACE_S
    async with open_http() as http:
        sandbox = Sandbox(http, stack.sandbox_url)
        load = Load(sandbox, every_s, answer_s)
        arriving = asyncio.create_task(load.arrive())
        try:
            return await _run(name, Drill(stack, load), arriving, sandbox)
        finally:
            arriving.cancel()
            await load.end()


async def _run(name: Name, drill: Drill, arriving: asyncio.Task[None], sandbox: Sandbox) -> Outcome:
    load, (prepare, strike) = drill.load, hands(name)
    say(f"sellers come; waiting until {SERVED_BEFORE} of them are served")
    await load.until_ended(SERVED_BEFORE)
    if prepare:
        await prepare(drill)
    usual_s = median(sale.seconds for sale in load.ended())
    struck_at, waiting = time.monotonic(), [sale for sale in load.sales if sale.ended_at is None]
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
    problems = await _problems(drill, sandbox, forgotten, may_double=name in _INEXACT)
    return Outcome(
        name, done, len(load.sales), sum(sale.video for sale in load.sales), len(waiting),
        round(usual_s, 1), round(over_at - struck_at, 1), round(served_at - struck_at, 1),
        round(max(after), 1), problems,
    )  # fmt: skip


async def _problems(drill: Drill, sandbox: Sandbox, forgotten: set[str], *, may_double: bool) -> list[str]:
    found = [f"seller {sale.user_id}: {sale.problem}" for sale in drill.load.sales if sale.problem]
    async with LogWatch(drill.stack.settings) as watch:
        customers = [Customer(sale.user_id) for sale in drill.load.sales]
        evidence = await collect(watch, sandbox, customers, await watch.settle())
    known = {job for order in evidence.orders for job in order.jobs}
    evidence.tasks = [task for task in evidence.tasks if task.job in known and task.task not in forgotten]
    evidence.may_double = may_double
    return found + [f"{check.name}: {problem}" for check in judge(evidence) for problem in check.problems]
