"""`neurocards demo`: cycles with faults on a separate system, and the verdict."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from events.codec import decode
from events.envelope import Recorded
from events.errors import NeurocardsError
from events.job import JobFailed, JobStarted
from services.cli.output import say
from services.rehearsal.chat_client import Sandbox, open_http
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.scenarios import Cycle, mix
from services.rehearsal.seller import Product, Seller, finals, is_video, photo_of
from services.rehearsal.system import Stack
from services.rehearsal.verdict import GRACE_S, Check, Customer, Evidence, Problem, collect, judge, tell

FREE_CREDITS = 3
"""So that a new seller can order three videos at once."""
SIDE_BY_SIDE = 4
_FIRST_USER_ID = 70_000
_STYLES = ("ugc", "commercial")
_PRODUCTS = ("Tea cup", "Desk lamp", "Canvas bag", "Wool scarf", "Steel bottle", "Oak board", "Hand cream")


class DemoError(NeurocardsError):
    """The demo could not go on; the message says where."""


class Outcome(msgspec.Struct, frozen=True):
    """Outcome of a run. `folder` is kept after a failure, or when asked for."""

    seed: int
    cycles: list[Cycle]
    checks: list[Check]
    folder: Path

    @property
    def good(self) -> bool:
        return not any(check.problems for check in self.checks)

    def cycle_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "cycle": cycle.number,
                "injected": cycle.scenario.injected + (f" ({cycle.note})" if cycle.note else ""),
                "outcome": cycle.outcome,
                "before": cycle.before,
                "after": cycle.after,
                "seconds": cycle.seconds,
            }
            for cycle in self.cycles
        ]

    def check_rows(self) -> list[dict[str, Any]]:
        return [
            {"check": check.name, "result": "; ".join(map(str, check.problems)) or "ok"}
            for check in self.checks
        ]


async def run(count: int, workers: int, seed: int, *, keep: bool = False) -> Outcome:
    """Play `count` cycles on separate processes in a temporary folder, saying each; judge everything."""
    folder = Path(tempfile.mkdtemp(prefix="neurocards-demo-"))
    cycles = plan(count, seed)
    stack = Stack(folder, workers=workers, FREE_CREDITS=FREE_CREDITS)
    say(f"starting the system with {workers} worker(s) in {folder}")
    async with stack, open_http() as http, LogWatch(stack.settings) as watch:
        sandbox = Sandbox(http, stack.sandbox_url)
        await sandbox.change(small_videos=True)
        await Player(stack, watch, sandbox, seed).play_all(cycles)
        say("checking")
        customers = [Customer(cycle.user_id, FREE_CREDITS, cycle.after) for cycle in cycles]
        evidence = await collect(watch, sandbox, customers, await watch.settle())
        for cycle in cycles:
            count_messages(cycle, finals(evidence.chats[cycle.user_id], cycle.order))
        unexpected = [Problem(f"cycle {c.number}: {problem}") for c in cycles for problem in c.problems]
        checks = [Check("each cycle ended as it should", unexpected), *judge(evidence)]
        outcome = Outcome(seed, cycles, checks, folder)
        if not outcome.good:
            _tell_stories(cycles, checks, evidence)
    if outcome.good and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def plan(count: int, seed: int) -> list[Cycle]:
    chosen = mix(count, random.Random(seed))
    names = [f"{_PRODUCTS[number % len(_PRODUCTS)]} {seed}N{number}C" for number in range(1, count + 1)]
    return [
        Cycle(number, scenario, _FIRST_USER_ID + number, name)
        for number, (scenario, name) in enumerate(zip(chosen, names, strict=True), 1)
    ]


class Player:
    def __init__(self, stack: Stack, watch: LogWatch, sandbox: Sandbox, seed: int) -> None:
        self._stack = stack
        self._watch = watch
        self._sandbox = sandbox
        self._seed = seed
        self._running: list[Cycle] = []
        self._killing = asyncio.Lock()
        self._deadline_s = stack.settings.job_deadline_seconds

    async def play_all(self, cycles: list[Cycle]) -> None:
        places, numbers = asyncio.Semaphore(SIDE_BY_SIDE), iter(range(1, len(cycles) + 1))

        async def one(cycle: Cycle) -> None:
            async with places:
                await self.play(cycle)
            words = f"{cycle.scenario.name}: {cycle.outcome}, {cycle.seconds} s"
            say(f"{next(numbers)}/{len(cycles)} cycle {cycle.number}: {words}")

        async with asyncio.TaskGroup() as group:
            for cycle in cycles:
                group.create_task(one(cycle))

    async def play(self, cycle: Cycle) -> None:
        """Play one cycle; what goes wrong is its problem, not an exception."""
        self._running.append(cycle)
        started_at = time.monotonic()
        try:
            await self._play(cycle)
            cycle.problems += await self._judged(cycle)
        except NeurocardsError as error:
            cycle.problems.append(str(error))
        finally:
            cycle.seconds = round(time.monotonic() - started_at, 1)
            self._running.remove(cycle)

    async def _play(self, cycle: Cycle) -> None:
        dice = random.Random(f"{self._seed}/{cycle.number}")
        scenario = cycle.scenario
        seller = Seller(self._sandbox.chat(cycle.user_id))
        await self._sandbox.inject([fault.rule(cycle.product, cycle.user_id) for fault in scenario.faults])
        await seller.begin()
        cycle.before = await seller.balance()
        product = Product(cycle.product, photo_of(_color(dice), _color(dice)))
        confirm = await seller.draft(product, style=dice.choice(_STYLES), videos=scenario.videos)
        after = dice.choice(scenario.kill_after) if scenario.kill_after else None
        cycle.order, _ = await asyncio.gather(
            seller.order(confirm, taps=scenario.taps), self._strike(cycle, after)
        )
        # A minute beyond the deadline is promised; more would be a broken promise, not a slow machine.
        await seller.results(cycle.order, scenario.videos, self._deadline_s + GRACE_S)
        cycle.jobs = await self._watch.jobs_of(cycle.user_id)
        if scenario.taps > 1:
            await seller.chat.tap(confirm)  # an old button, long after
        cycle.after = await seller.balance()
        count_messages(cycle, await seller.results(cycle.order, 0, 0))

    async def _strike(self, cycle: Cycle, after: str | None) -> None:
        """Kill the worker that holds the cycle's job after the event `after`."""
        if after is None:
            return
        job = await self._first_job(cycle)
        if not await self._watch.until(job, after, self._deadline_s):
            cycle.note = f"no {after} in time, nobody was killed"
            return
        async with self._killing:  # one at a time: a process that is not back yet cannot be killed
            name = await self._holder(job)
            for running in self._running:
                running.disturbed = True
            killed = await self._stack.kill(name)
            cycle.note = f"{name} killed after {after}"
            await self._stack.back(name, killed)

    async def _first_job(self, cycle: Cycle) -> str:
        deadline = time.monotonic() + 60
        while not (jobs := await self._watch.jobs_of(cycle.user_id)):
            if time.monotonic() > deadline:
                raise DemoError("no job was charged")
            await asyncio.sleep(0.02)
        return jobs[0]

    async def _holder(self, job: str) -> str:
        """Process that runs the job, by its own name in JobStarted."""
        names = [name for name in self._stack.names() if name.startswith("worker")]
        runs = [decode(event) for event in await self._watch.story(job) if event.type == "JobStarted"]
        last = runs[-1] if runs else None
        told = last.worker.split(":") if isinstance(last, JobStarted) else []  # host:pid:…
        return next((name for name in names if str(self._stack.facts(name).get("pid")) in told), names[0])

    async def _judged(self, cycle: Cycle) -> list[str]:
        scenario, problems = cycle.scenario, []
        if len(cycle.jobs) != scenario.videos:
            problems.append(f"{len(cycle.jobs)} jobs were charged instead of {scenario.videos}")
        stories = {job: await self._watch.story(job) for job in cycle.jobs}
        failures = [found for story in stories.values() if (found := _failure(story))]
        problems += _unexpected(cycle, failures)
        problems += await self._abandoned(cycle, stories)
        if scenario.leaves and not any(
            scenario.leaves in f"{event.type} {event.data}" for story in stories.values() for event in story
        ):
            problems.append(f"no trace of what was injected: no {scenario.leaves!r} in the log")
        if cycle.refusals != len(failures) and not scenario.doubles:
            problems.append(f"{len(failures)} refunds, but {cycle.refusals} messages about one")
        if cycle.before is None or cycle.after != cycle.before - (len(cycle.jobs) - len(failures)):
            problems.append(f"credits went from {cycle.before} to {cycle.after}")
        return problems

    async def _abandoned(self, cycle: Cycle, stories: dict[str, list[Recorded]]) -> list[str]:
        """Refunded jobs whose video the provider made all the same: its callback should have told."""
        if cycle.scenario.expected == "refund":
            return []
        made = {task.job for task in await self._sandbox.tasks() if task.state == "success"}
        return [
            f"job {job} was given up, though the provider made its video"
            for job, story in stories.items()
            if job in made and any(event.type == "JobFailed" for event in story)
        ]


def count_messages(cycle: Cycle, ends: Sequence[dict[str, Any]]) -> None:
    cycle.videos = sum(is_video(message) for message in ends)
    cycle.refusals = len(ends) - cycle.videos


def _failure(story: Sequence[Recorded]) -> str:
    """The job's failure class; `cut off` while its last submission is unknown."""
    failed = [event for row in story if isinstance(event := decode(row), JobFailed)]
    if not failed:
        return ""
    calls = [row.type for row in story if row.type.startswith("Submission")]
    error_class = failed[0].failure.error_class
    return "cut off" if calls[-1:] == ["SubmissionIntended"] and error_class == "timeout" else error_class


def _unexpected(cycle: Cycle, failures: list[str]) -> list[str]:
    """Differences from the scenario; `failures` are the failed jobs' classes.

    A worker that is killed while it speaks to the provider leaves a submission that may not be repeated.
    """
    scenario = cycle.scenario
    tolerated = {"cut off"} if cycle.disturbed else set()
    if scenario.expected == "refund":
        good = len(failures) == scenario.videos and set(failures) <= {scenario.error_class} | tolerated
    else:
        good = set(failures) <= tolerated
    wanted = f"{scenario.expected} {scenario.error_class}".strip()
    return [] if good else [f"expected {wanted}, jobs failed as {failures}"]


def _color(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(30, 226), dice.randrange(30, 226), dice.randrange(30, 226)


def _tell_stories(cycles: Sequence[Cycle], checks: Sequence[Check], evidence: Evidence) -> None:
    wrong = {problem.job for check in checks for problem in check.problems if problem.job}
    for cycle in cycles:
        jobs = [job for order in evidence.orders if order.chat == cycle.user_id for job in order.jobs]
        if not cycle.problems and not wrong & set(jobs):
            continue
        say(f"cycle {cycle.number} ({cycle.scenario.name}, seller {cycle.user_id}, {cycle.product}):")
        for problem in cycle.problems:
            say(f"  {problem}")
        for job in jobs:
            say(f"  {tell(evidence, job)}")
