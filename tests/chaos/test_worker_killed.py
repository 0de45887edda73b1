"""Scenario 1: SIGKILL of the worker at each step of a job: before and after every append, call and ack.

One job after another, each with the step at which the process that has it dies; it is started again at once,
as a supervisor does. What may come of a job depends on the step alone:

    video     nothing is lost: another run goes on, with the one submission there was
    callback  the provider has the task and we do not know it: its callback tells, then as above
    unknown   a call was announced and maybe made: it is not made again, the deadline refunds
    refund    the job was to end without a video anyway, and does, once
"""

import signal
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from services.platform.ids import new_id
from tests.support.arena.arena import Arena
from tests.support.arena.sellers import DEADLINE_S, NO_PHOTO, PHOTO, Fault
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(600)

PARTS: Final = 2
"""So that several test processes share them."""
SHORT_S: Final = 20
"""Deadline of a job whose submission's outcome will stay unknown."""


class Step(msgspec.Struct, frozen=True):
    """Where the worker dies, and what comes of the job then."""

    point: str
    comes: str = "video"
    fault: Fault | None = None
    photo: str = PHOTO
    submissions: int = 1

    @property
    def makes_a_task(self) -> bool:
        return self.comes != "unknown" and self.submissions > 0


def both(what: str, comes: str = "video", **more: object) -> list[Step]:
    return [Step(f"{when} {what}", comes, **more) for when in ("before", "after")]  # type: ignore[arg-type]


STUMBLES: Final = Fault("server_error", times=1)
REFUSES: Final = Fault("policy")
STEPS: Final = (
    *both("StartJob"), *both("script"), *both("keep_text"), *both("RecordPrompt"), *both("upload"),
    Step("before IntendSubmission"), Step("after IntendSubmission", "unknown"),
    Step("before create_task", "unknown"), Step("after create_task", "callback"),
    Step("before RecordAccepted", "callback"), Step("after RecordAccepted"),
    *both("read_task"), *both("fetch"), *both("SucceedJob"), *both("ack"),
    Step("before FailSubmission", "unknown", STUMBLES),
    Step("after FailSubmission", "video", STUMBLES, submissions=2),
    *both("FailSubmission", "refund", fault=REFUSES),
    *both("FailJob", "refund", photo=NO_PHOTO, submissions=0),
)  # fmt: skip


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.chaos
async def test_a_worker_is_killed_at_each_step(arena: Arena, workers: int, part: int) -> None:
    steps = list(STEPS[part::PARTS])
    arena.dice.shuffle(steps)
    await kill_at(arena, steps, workers)


async def kill_at(arena: Arena, steps: Sequence[Step], workers: int) -> None:
    """One step after another; those that end at the deadline only are waited for together."""
    steps = sorted(steps, key=lambda step: step.comes == "unknown")
    jobs: dict[str, Step] = {}
    async with arena.opened(workers, odd=True, LEASE_SECONDS=1.5), arena.keeper():
        for step in steps:
            job = await struck(arena, step)
            jobs[job] = step
            if step.comes != "unknown":
                await arena.all_ended([job])
        await arena.all_ended(jobs)
        for job, step in jobs.items():
            await check(arena, job, step)
        tasks = Counter(task.job for task in await arena.sandbox.tasks())
        assert tasks == Counter(job for job, step in jobs.items() if step.makes_a_task)
        await arena.audit()


async def struck(arena: Arena, step: Step) -> str:
    """A job, once its worker has died at the step."""
    job = new_id()
    arena.strikes.plan(job, step.point, signal.SIGKILL)
    deadline_s = SHORT_S if step.comes == "unknown" else DEADLINE_S
    faults = [step.fault] if step.fault else []
    await arena.order(names=[job], deadline_s=deadline_s, faults=faults, photo=step.photo)
    await arena.strikes.wait(job)
    return job


async def check(arena: Arena, job: str, step: Step) -> None:
    state = await arena.job(job)
    outcome = "succeeded" if step.comes in ("video", "callback") else "failed"
    assert state.outcome == outcome, f"job {job}, {step}: {state.outcome} {state.failure}"
    assert len(state.submissions) == step.submissions, f"job {job}, {step}"
    if step.comes == "unknown":
        assert state.failure is not None and state.failure.error_class == "timeout", f"job {job}, {step}"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.chaos
async def test_a_worker_is_killed_while_it_stops(arena: Arena, when: str) -> None:
    """It was told to stop, hands back what it has, and dies in the middle of that."""
    async with arena.opened(1, odd=True, SANDBOX_RENDER_SECONDS=1), arena.keeper():
        job = new_id()
        arena.strikes.plan(job, f"{when} HandBackJob")
        await arena.order(names=[job])
        await eventually(lambda: arena.has(job, "SubmissionAccepted"))
        arena.running["worker-1"].signal(signal.SIGTERM)
        await arena.strikes.wait(job)
        await arena.succeeded([job])
        await arena.audit()
