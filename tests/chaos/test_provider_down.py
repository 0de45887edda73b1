"""Scenario 8: the provider is down for longer than the deadline, in whatever way: refunds, in time, and told.

What it had accepted before is looked for later, and given when it comes after all.
"""

import pytest

from tests.support.arena.arena import Arena, often_late

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SHORT_S = 20
DOWN = ("html_502", "http_500", "drop_before", "hang", "maintenance", "empty_body", "server_error")


def down(fault: str, call: str = "*") -> dict[str, object]:
    return {"api": "kie", "call": call, "fault": fault, "times": None, "args": {"seconds": SHORT_S + 2}}


@pytest.mark.parametrize("call", ["*", "createTask"])
async def test_down_from_the_beginning(arena: Arena, call: str) -> None:
    async with arena.opened(2):
        await arena.sandbox.inject([down(arena.dice.choice(DOWN), call)])
        jobs = await arena.jobs_of(6, deadline_s=SHORT_S)
        await arena.all_ended(jobs)
        assert {(await arena.job(job)).outcome for job in jobs} == {"failed"}
        await arena.audit()


async def test_down_once_it_has_accepted(arena: Arena) -> None:
    """Nobody can see that the videos are made. Refunded at the deadline; given when they can be seen."""
    async with arena.opened(2, without=["maintenance"]):
        await often_late(arena)
        fault = arena.dice.choice(("server_error", "html_502", "drop", "truncated_json"))
        await arena.sandbox.inject([down(fault, "recordInfo")])
        jobs = await arena.jobs_of(4, deadline_s=SHORT_S)
        await arena.all_ended(jobs)
        assert {(await arena.job(job)).outcome for job in jobs} == {"failed"}
        await arena.sandbox.clear_faults()
        for job in jobs:
            await arena.come_to_any(job, "VideoGifted")
        await arena.audit()
        assert [len(await arena.finals(job)) for job in jobs] == [2, 2, 2, 2]


async def test_back_before_the_deadline(arena: Arena) -> None:
    """A minute of trouble costs a minute, not the video."""
    async with arena.opened(2, RETRY_BASE_SECONDS=1):
        rule = down("server_error", "createTask")
        await arena.sandbox.inject([rule])
        jobs = await arena.jobs_of(4)
        for job in jobs:
            await arena.come_to_any(job, "RetryScheduled")
        await arena.sandbox.clear_faults()
        await arena.all_ended(jobs)
        assert {(await arena.job(job)).outcome for job in jobs} == {"succeeded"}
        await arena.audit()
