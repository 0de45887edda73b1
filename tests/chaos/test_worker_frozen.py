"""Scenario 2: SIGSTOP of the worker past its lease; another finishes its job; then it wakes up.

Whatever it was about to do it does then. Its decisions come too late and are refused, its facts are recorded,
and a call that it had announced long ago it does not make.
"""

import signal
from collections.abc import Sequence
from typing import Final

import pytest

from events.job import JobStarted
from ledger.sql import load_queries
from services.platform.ids import new_id
from tests.support.arena.arena import Arena
from tests.support.arena.sellers import Fault
from tests.support.waiting import eventually

query = load_queries("ledger.log")

pytestmark = pytest.mark.timeout(600)

POINTS: Final = tuple(
    f"{when} {what}"
    for what in (
        "StartJob", "script", "keep_text", "RecordPrompt", "upload", "IntendSubmission", "create_task",
        "RecordAccepted", "read_task", "fetch", "SucceedJob",
    )
    for when in ("before", "after")
)  # fmt: skip
MEANEST: Final = ("before create_task", "after create_task", "after fetch")
CALL_WITHIN_S: Final = 5.0
"""Of services/worker/context.py: no call is made longer than this after its intent."""


@pytest.mark.chaos
async def test_a_frozen_worker_wakes_up_when_another_has_finished(arena: Arena) -> None:
    await freeze_at(arena, [*MEANEST, *arena.dice.sample([p for p in POINTS if p not in MEANEST], 8)])


async def freeze_at(arena: Arena, points: Sequence[str]) -> None:
    """One after another: freeze at the point, let another finish or at least begin, wake up, go on."""
    async with arena.opened(2, odd=True, LEASE_SECONDS=1.5):
        jobs = []
        for point in points:
            job = new_id()
            jobs.append(job)
            arena.strikes.plan(job, point, signal.SIGSTOP)
            await arena.order(names=[job])
            frozen = arena.by_pid(await arena.strikes.wait(job))
            await another_has(arena, job)
            if not _only_it_can_know(point):
                await arena.all_ended([job])
            frozen.signal(signal.SIGCONT)
            await arena.all_ended([job])
        await arena.all_made(jobs)


def _only_it_can_know(point: str) -> bool:
    """It has announced a call that it will make, within the few seconds, only when it is awake again."""
    return point in ("after IntendSubmission", "before create_task")


async def another_has(arena: Arena, job: str) -> None:
    """Until a run by another process has begun."""

    async def begun() -> bool:
        workers = {event.worker for event in await arena.events(job) if isinstance(event, JobStarted)}
        return len(workers) > 1 or bool((await arena.job(job)).outcome)

    started = any(isinstance(event, JobStarted) for event in await arena.events(job))
    await eventually(begun if started else lambda: arena.has(job, "JobStarted"), what=f"another run of {job}")


@pytest.mark.chaos
async def test_who_sleeps_long_after_announcing_a_call_does_not_make_it(arena: Arena) -> None:
    """By then others may have counted the intent in. It says so, and who has the job makes another call."""
    async with arena.opened(2, odd=True):
        late = new_id()
        arena.strikes.plan(late, "after IntendSubmission", signal.SIGSTOP)
        await arena.order(names=[late])
        frozen = arena.by_pid(await arena.strikes.wait(late))
        intended_us = (await arena.log_watch.story(late))[-1].recorded_at_us

        async def long_ago() -> bool:
            now_us = await arena.log_watch.pool.fetchval(query("clock"))
            return bool(now_us > intended_us + (CALL_WITHIN_S + 0.5) * 1e6)

        await eventually(long_ago, interval_s=0.1, what="the intent is old")
        frozen.signal(signal.SIGCONT)
        await arena.succeeded([late], submissions=2)
        first, _ = (await arena.job(late)).submissions
        assert first.failure is not None and first.failure.code == "not_sent"
        assert [(task.job, task.submission) for task in await arena.sandbox.tasks()] == [(late, 2)]
        await arena.audit()


@pytest.mark.chaos
async def test_the_answer_arrives_after_another_run_has_started(arena: Arena) -> None:
    """The provider says nothing more, so only the frozen worker can bring the task; it is not lost."""
    async with arena.opened(2, odd=True):
        job = new_id()
        arena.strikes.plan(job, "after create_task", signal.SIGSTOP)
        await arena.order(names=[job], faults=[Fault("callback_never")])
        frozen = arena.by_pid(await arena.strikes.wait(job))
        await another_has(arena, job)
        assert (await arena.job(job)).live_submission.task is None  # type: ignore[union-attr]
        frozen.signal(signal.SIGCONT)
        await arena.succeeded([job])
        assert (await arena.job(job)).run == 2
        assert [task.job for task in await arena.sandbox.tasks()] == [job]
        await arena.audit()
