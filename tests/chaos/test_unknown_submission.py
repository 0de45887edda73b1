"""Scenario 7: the connection is cut after the provider has accepted: nobody knows whether there is a task.

It is never asked again. The provider's callback tells of the task, or the deadline refunds; a task that is
found only after that is a gift. (The answer that comes after another run has started: test_worker_frozen.py.)
"""

import pytest

from tests.support.arena.arena import Arena, often_late
from tests.support.arena.sellers import Fault

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

CUTS = (
    Fault("drop_after_accept", times=1),
    Fault("truncated_json", times=1),
    Fault("html_502", times=1, args={"accepted": True}),
    Fault("empty_body", times=1, args={"accepted": True}),
    Fault("hang", times=1, args={"accepted": True, "seconds": 1}),
)
SILENT = Fault("callback_never", call="callback")
SHORT_S = 20
LATE_S = 3


async def test_the_callback_tells_of_the_task(arena: Arena) -> None:
    async with arena.opened(2):
        jobs = [(await arena.order(faults=[cut])).jobs[0] for cut in CUTS]
        await arena.succeeded(jobs)
        await arena.audit()


async def test_without_a_callback_the_deadline_refunds(arena: Arena) -> None:
    async with arena.opened(2):
        jobs = [(await arena.order(faults=[cut, SILENT], deadline_s=SHORT_S)).jobs[0] for cut in CUTS]
        await arena.all_ended(jobs)
        for job in jobs:
            state = await arena.job(job)
            assert state.failure is not None and state.failure.error_class == "timeout"
            assert len(state.submissions) == 1
        evidence = await arena.audit()
        assert sorted(task.job for task in evidence.tasks) == sorted(jobs), "each has cost us one task"


async def test_a_task_found_after_the_refund_is_a_gift_once(arena: Arena) -> None:
    late = Fault("late_success", call="task", args={"seconds": SHORT_S + LATE_S})
    async with arena.opened(1, without=["maintenance"]):
        await often_late(arena)
        (job,) = (await arena.order(faults=[CUTS[0], late], deadline_s=SHORT_S)).jobs
        await arena.all_ended([job])
        await arena.come_to_any(job, "VideoGifted")
        await arena.audit()
        assert len(await arena.finals(job)) == 2
