"""Scenario 9: callbacks before the submission's answer, twice, forged, never; and while nobody answers them.

Callbacks wake, records decide: whatever is said, each job gets its own video, once.
"""

import json

import pytest

from tests.support.arena.arena import Arena
from tests.support.arena.sellers import Fault

pytestmark = pytest.mark.timeout(600)

KINDS = ("callback_before_answer", "callback_twice", "callback_forged", "callback_never")


@pytest.mark.chaos
async def test_whatever_the_provider_calls(arena: Arena) -> None:
    """Four of each, and each kind with the answer to its creation lost as well, but for the silent one."""
    lost = Fault("drop_after_accept", times=1)
    async with arena.opened(2):
        jobs: list[str] = []
        for kind in KINDS:
            fault = Fault(kind, call="callback")
            for number in range(4):
                faults = [fault, lost] if number % 2 and kind != "callback_never" else [fault]
                jobs += (await arena.order(faults=faults)).jobs
        await arena.succeeded(jobs)
        await arena.audit()


@pytest.mark.chaos
async def test_what_others_call_changes_nothing(arena: Arena) -> None:
    """Somebody who knows the addresses says that other tasks are ours, that ours has failed, and nonsense."""
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1.5):
        jobs = await arena.jobs_of(4)
        for job in jobs:
            await arena.come_to_any(job, "SubmissionAccepted")
        tasks = await arena.tasks()
        for task in tasks:
            others = [other["taskId"] for other in tasks if other is not task]
            for body in forged(arena.dice.choice(others), task["taskId"]):
                for url in (task["callBackUrl"], _wrong(task["callBackUrl"])):
                    await arena.http.post(url, content=body)
        await arena.succeeded(jobs)
        evidence = await arena.audit()
        assert {task.task for task in evidence.tasks} == {task["taskId"] for task in tasks}


def forged(other: str, own: str) -> list[bytes]:
    failed = {"code": 501, "msg": "failed", "data": {"taskId": own, "state": "fail", "failMsg": "no"}}
    made = {"code": 200, "data": {"taskId": other, "state": "success", "resultJson": '{"resultUrls":["x"]}'}}
    unknown = {"code": 200, "data": {"taskId": "0" * 32, "state": "success"}}
    return [*(json.dumps(body).encode() for body in (failed, made, unknown)), b"", b"[]", b"\xff"]


def _wrong(url: str) -> str:
    """The address with another secret."""
    return url[:-4] + ("0000" if url[-4:] != "0000" else "1111")


@pytest.mark.chaos
async def test_web_is_away_when_they_come(arena: Arena) -> None:
    """The provider calls again later; until then looking has to do, and an unknown task waits for it."""
    async with arena.opened(1, SANDBOX_RENDER_SECONDS=0.5):
        arena.kill("web")
        jobs = await arena.jobs_of(3)
        unknown = await arena.jobs_of(3, faults=[Fault("drop_after_accept", times=1)])
        await arena.succeeded(jobs)
        await arena.revive("web")
        await arena.succeeded(unknown)
        await arena.audit()
