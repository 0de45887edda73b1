"""One cycle: a new seller orders a video, something goes wrong on purpose, the chat tells the outcome."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import httpx

from events.codec import decode
from events.envelope import Recorded
from events.errors import NeurocardsError
from events.job import JobFailed, JobStarted
from services.rehearsal.chat_client import Chat
from services.rehearsal.log_watch import Witness
from services.rehearsal.sandbox_control import Sandbox
from services.rehearsal.scenarios import Cycle, mix
from services.rehearsal.seller import Product, Seller, is_video, photo_of
from services.rehearsal.system import Stack

SIDE_BY_SIDE = 4
_FIRST_USER_ID = 70_000
_STYLES = ("ugc", "commercial")
_PRODUCTS = ("Tea cup", "Desk lamp", "Canvas bag", "Wool scarf", "Steel bottle", "Oak board", "Hand cream")


class Player:
    """Plays cycles on a running stack, each with a seller and a product of its own."""

    def __init__(self, stack: Stack, witness: Witness, http: httpx.AsyncClient, seed: int) -> None:
        self._stack = stack
        self._witness = witness
        self._http = http
        self._seed = seed
        self._sandbox = Sandbox(http, stack.sandbox_url)
        self._running: list[Cycle] = []
        self._sellers: dict[int, Seller] = {}
        self._killing = asyncio.Lock()
        self._deadline_s = stack.settings.job_deadline_seconds

    async def play_all(self, cycles: list[Cycle], done: Callable[[Cycle], None]) -> None:
        """All of them, a few side by side; `done` is called with each as it ends."""
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(cycle: Cycle) -> None:
            async with places:
                await self.play(cycle)
            done(cycle)

        async with asyncio.TaskGroup() as group:
            for cycle in cycles:
                group.create_task(one(cycle))

    async def play(self, cycle: Cycle) -> None:
        """Play it and note what came of it; what goes wrong is a problem of the cycle, not an exception."""
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
        chat = Chat(self._http, self._stack.sandbox_url, cycle.user_id)
        seller = self._sellers[cycle.number] = Seller(chat)
        await self._sandbox.inject([fault.rule(cycle.product, cycle.user_id) for fault in scenario.faults])
        await seller.begin()
        cycle.before = await seller.balance()
        product = Product(cycle.product, photo_of(_color(dice), _color(dice)))
        confirm = await seller.draft(product, style=dice.choice(_STYLES), videos=scenario.videos)
        strike = self._strike(cycle, dice.choice(scenario.kill_after)) if scenario.kill_after else _nothing()
        cycle.order, _ = await asyncio.gather(seller.order(confirm, taps=scenario.taps), strike)
        # A minute beyond the deadline is promised; more would be a broken promise, not a slow machine.
        await seller.results(cycle.order, scenario.videos, self._deadline_s + 60)
        cycle.jobs = await self._witness.jobs_of(cycle.user_id)
        if scenario.taps > 1:
            await chat.tap(confirm)  # an old button, long after
        cycle.after = await seller.balance()
        await self.count_messages([cycle])

    async def count_messages(self, cycles: Sequence[Cycle]) -> None:
        """Look at the chats (again): what came late, or twice, counts."""
        for cycle in cycles:
            if cycle.order and (seller := self._sellers.get(cycle.number)):
                results = await seller.results(cycle.order, 0, 0)
                cycle.videos = sum(is_video(message) for message in results)
                cycle.refusals = len(results) - cycle.videos

    async def _strike(self, cycle: Cycle, after: str) -> None:
        """Kill the worker that holds the cycle's job once the job has come to `after`."""
        job = await self._first_job(cycle)
        if not await self._witness.until(job, after, self._deadline_s):
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
        while not (jobs := await self._witness.jobs_of(cycle.user_id)):
            if time.monotonic() > deadline:
                raise DemoError("no job was charged")
            await asyncio.sleep(0.02)
        return jobs[0]

    async def _holder(self, job: str) -> str:
        """The process that runs the job, by the name it gave itself in JobStarted."""
        names = [name for name in self._stack.names() if name.startswith("worker")]
        runs = [decode(event) for event in await self._witness.story(job) if event.type == "JobStarted"]
        last = runs[-1] if runs else None
        told = last.worker.split(":") if isinstance(last, JobStarted) else []  # host:pid:…
        return next((name for name in names if str(self._stack.facts(name).get("pid")) in told), names[0])

    async def _judged(self, cycle: Cycle) -> list[str]:
        """What is not as the scenario says it must be."""
        scenario, problems = cycle.scenario, []
        if len(cycle.jobs) != scenario.videos:
            problems.append(f"{len(cycle.jobs)} jobs were charged instead of {scenario.videos}")
        stories = [await self._witness.story(job) for job in cycle.jobs]
        failures = [found for story in stories if (found := _failure(story))]
        problems += _unexpected(cycle, failures)
        problems += await self._abandoned(cycle)
        if scenario.leaves and not any(
            scenario.leaves in f"{event.type} {event.data}" for story in stories for event in story
        ):
            problems.append(f"no trace of what was injected: no {scenario.leaves!r} in the log")
        if cycle.refusals != len(failures) and not scenario.doubles:
            problems.append(f"{len(failures)} refunds, but {cycle.refusals} messages about one")
        if cycle.before is None or cycle.after != cycle.before - (len(cycle.jobs) - len(failures)):
            problems.append(f"credits went from {cycle.before} to {cycle.after}")
        return problems

    async def _abandoned(self, cycle: Cycle) -> list[str]:
        """Refunded jobs whose video the provider has made all the same: its callback should have told."""
        if cycle.scenario.expected == "refund":
            return []
        made = {task.job for task in await self._sandbox.tasks() if task.state == "success"}
        stories = {job: await self._witness.story(job) for job in made & set(cycle.jobs)}
        return [
            f"job {job} was given up, though the provider made its video"
            for job, story in stories.items()
            if any(event.type == "JobFailed" for event in story)
        ]


def _failure(story: Sequence[Recorded]) -> str:
    """The class of the job's failure, `cut off` if nobody can know what became of its last submission."""
    failed = [event for row in story if isinstance(event := decode(row), JobFailed)]
    if not failed:
        return ""
    calls = [row.type for row in story if row.type.startswith("Submission")]
    error_class = failed[0].failure.error_class
    return "cut off" if calls[-1:] == ["SubmissionIntended"] and error_class == "timeout" else error_class


def _unexpected(cycle: Cycle, failures: list[str]) -> list[str]:
    """Whether the jobs ended as the scenario says; `failures` are the classes of those that failed.

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


class DemoError(NeurocardsError):
    """The demo could not go on; the message says where."""


def plan(count: int, seed: int) -> list[Cycle]:
    """The cycles of a run: scenarios mixed by the seed, each with a seller and a product of its own."""
    chosen = mix(count, random.Random(seed))
    names = [f"{_PRODUCTS[number % len(_PRODUCTS)]} {seed}N{number}C" for number in range(1, count + 1)]
    return [
        Cycle(number, scenario, _FIRST_USER_ID + number, name)
        for number, (scenario, name) in enumerate(zip(chosen, names, strict=True), 1)
    ]


async def _nothing() -> None:
    return None


def _color(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(30, 226), dice.randrange(30, 226), dice.randrange(30, 226)
