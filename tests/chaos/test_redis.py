"""Scenarios 3 and 4: Redis is killed and comes back empty, or is flushed, in the middle of everything.

Jobs are at all stages when it happens: in the stream, in the hands of workers, at the provider, owed to the
chat. None is lost, none is made twice, nothing is told twice.
"""

import asyncio
import os
import signal

import pytest

from tests.support.arena.arena import Arena
from tests.support.arena.sellers import Fault

pytestmark = pytest.mark.timeout(600)

JOBS_PER_WAVE = 8
STUMBLES = Fault("server_error", times=1)


async def wave(arena: Arena, jobs: int = JOBS_PER_WAVE) -> list[str]:
    """Orders that come one after another; a third of the jobs wait for a retry at some moment."""
    found: list[str] = []
    for _ in range(jobs):
        faults = [STUMBLES] if arena.dice.random() < 0.3 else []
        found += (await arena.order(faults=faults)).jobs
        await asyncio.sleep(arena.dice.uniform(0, 0.2))
    return found


async def kill_redis(arena: Arena, away_s: float) -> None:
    """SIGKILL; it comes back with nothing after a while."""
    assert arena.valkey.pid is not None
    os.kill(arena.valkey.pid, signal.SIGKILL)
    await asyncio.sleep(away_s)
    await asyncio.to_thread(arena.valkey.start)


async def flush(arena: Arena, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(arena.dice.uniform(0.2, 1.0))
        await arena.log_watch.redis.flushall()


async def all_made(arena: Arena, jobs: list[str]) -> None:
    """Each job has its video, from one task; also one refused while a wipe gave it to another run."""
    await arena.all_ended(jobs)
    for job in jobs:
        state = await arena.job(job)
        assert state.outcome == "succeeded", f"{job}: {state.failure}"
    assert sorted(task.job for task in await arena.sandbox.tasks()) == sorted(jobs)
    await arena.audit()


@pytest.mark.chaos
async def test_redis_is_killed_and_comes_back_empty(arena: Arena) -> None:
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):
        jobs = await wave(arena)
        for away_s in (0, arena.dice.uniform(0.5, 2)):
            more, _ = await asyncio.gather(wave(arena), kill_redis(arena, away_s))
            jobs += more
        await all_made(arena, jobs)


@pytest.mark.chaos
async def test_redis_is_flushed_again_and_again(arena: Arena) -> None:
    async with arena.opened(3, SANDBOX_RENDER_SECONDS=1):
        jobs = await wave(arena)
        more, _ = await asyncio.gather(wave(arena, 2 * JOBS_PER_WAVE), flush(arena, 5))
        await all_made(arena, jobs + more)


@pytest.mark.chaos
async def test_work_is_finished_while_redis_stays_away(arena: Arena) -> None:
    """What is in hand needs no Redis to be finished and told; what comes meanwhile is made afterwards."""
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):
        jobs = await arena.jobs_of(5)
        for job in jobs:
            await arena.come_to_any(job, "SubmissionAccepted")
        await asyncio.to_thread(arena.valkey.stop)
        await arena.all_ended(jobs)
        waiting = await arena.jobs_of(3)
        await asyncio.to_thread(arena.valkey.start)
        await all_made(arena, jobs + waiting)


@pytest.mark.short
async def test_one_wipe_in_the_middle(arena: Arena) -> None:
    async with arena.opened(1):
        more, _ = await asyncio.gather(wave(arena, 5), flush(arena, 1))
        await all_made(arena, more)
