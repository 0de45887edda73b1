"""Scenario 10: every worker is dead, and the relay, the projector and Redis with them.

Monitor and notifier need Postgres and Telegram alone: everybody gets the credit back and hears of it in time.
Afterwards all is brought back, and nothing happens twice.
"""

import asyncio
from functools import partial

import pytest

from services.rehearsal.verdict import GRACE_S
from tests.support.arena.arena import Arena
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SHORT_S = 20
NEVER = {"api": "kie", "call": "task", "fault": "never_finishes", "times": None}


async def everybody_dies(arena: Arena, jobs: int) -> None:
    """Half of the jobs are at the provider by then, the others are ordered when nobody is left."""
    async with arena.opened(2):
        await arena.sandbox.inject([NEVER])
        ordered = await arena.jobs_of(jobs, deadline_s=SHORT_S)
        for job in ordered:
            await arena.come_to_any(job, "SubmissionAccepted")
        arena.kill(*arena.worker_names, "relay", "projector", "web")
        await asyncio.to_thread(arena.valkey.stop)
        ordered += await arena.jobs_of(jobs, deadline_s=SHORT_S)

        await arena.all_ended(ordered, SHORT_S + GRACE_S)
        for job in ordered:
            await eventually(partial(arena.finals, job), GRACE_S, what=f"a word about {job}")

        await asyncio.to_thread(arena.valkey.start)
        await arena.revive()
        await arena.audit()


async def test_everybody_is_refunded_and_told(arena: Arena) -> None:
    await everybody_dies(arena, 5)


async def test_workers_come_back_just_at_the_deadline(arena: Arena) -> None:
    """Both the monitor and the workers want to end the jobs: one of them does."""
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=0.5):
        jobs = await arena.jobs_of(10, deadline_s=SHORT_S)
        arena.kill(*arena.worker_names)
        left_s = min([await arena.left_s(job) for job in jobs])
        await asyncio.sleep(left_s - arena.dice.uniform(0.3, 1.5))
        await arena.revive()
        await arena.audit()
