"""Worker processes that are told to stop in the middle of something: nothing is lost, nobody waits longer.

SIGTERM: reading stops, what waits is handed back, calls that were sent are waited for, the seat is left. A
second SIGTERM, or too much time: the process is gone, as if killed.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from events.job import JobHandedBack, JobStarted, SubmissionAccepted, SubmissionIntended
from services.local.valkey import EmbeddedValkey
from services.platform.process import STOP_GRACE_S
from services.platform.redis_keys import JOBS
from services.streams.entries import GENERATION
from services.worker.run import CRITICAL_S
from tests.support.services import ServiceProcess, Services
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.worker_fixture import WorkerFixture

StartWorker = Callable[..., Any]


@pytest.fixture
def start(workshop: WorkerFixture, services: Services) -> StartWorker:
    """Starts worker processes that share everything with the workshop. Their leases outlast the tests."""

    async def start(name: str) -> ServiceProcess:
        settings = workshop.settings
        env: dict[str, Any] = {
            "REDIS_URL": settings.redis_url,
            "NEUROCARDS_DATA_DIR": settings.data_dir,
            "SANDBOX_URL": settings.sandbox_url,
            "KIE_POLL_SECONDS": settings.kie_poll_s,
            "LEASE_SECONDS": 600,
        }
        return await asyncio.to_thread(partial(services.start, "worker", name=name, **env))

    return start


async def ended(process: ServiceProcess, timeout_s: float = PATIENCE_S) -> int:
    return await asyncio.to_thread(process.wait_ended, timeout_s)


@pytest.mark.slow
async def test_a_stop_waits_for_a_long_call_and_hands_back_what_came_of_it(
    workshop: WorkerFixture, start: StartWorker
) -> None:
    """Longer than other services are given to end; while it waits, the other jobs are free already."""
    latency_s = 6.0
    assert STOP_GRACE_S < latency_s < CRITICAL_S
    leaving = await start("leaving")
    workshop.sandbox.turn(render_seconds=600.0)
    (waiting,) = await workshop.order()
    await workshop.come_to(waiting, SubmissionAccepted)
    workshop.sandbox.turn(latency_seconds=latency_s)
    (calling,) = await workshop.order()
    await workshop.come_to(calling, SubmissionIntended)
    leaving.signal(signal.SIGTERM)
    await workshop.come_to(waiting, JobHandedBack)
    assert leaving.running, "it still waits for the answer"
    assert await ended(leaving) == 0
    staying = await start("staying")
    await eventually(partial(workshop.count, waiting, JobStarted, 2), what="the other job is elsewhere")
    types = await workshop.types(calling)
    assert types.index("SubmissionAccepted") < types.index("JobHandedBack")
    await eventually(partial(workshop.count, calling, JobStarted, 2), what="so is this one")
    assert "call_abandoned" not in leaving.log and "task_cancelled" not in leaving.log
    workshop.sandbox.turn(latency_seconds=0.0, render_seconds=0.2)
    assert staying.running and len(await workshop.tasks()) == 2


@pytest.mark.slow
async def test_a_second_signal_ends_it_at_once_and_another_worker_finishes_the_job(
    workshop: WorkerFixture, start: StartWorker
) -> None:
    """In the middle of a call: the provider has made the task, nobody has heard. The callback brings it."""
    leaving = await start("leaving")
    job = await workshop.order_with_fault("hang", args={"accepted": True, "seconds": 600})
    (task,) = [task async for task in workshop.until_tasks(1)]
    leaving.signal(signal.SIGTERM)
    await eventually(lambda: "stopping" in leaving.log, what="it has heard the first signal")
    leaving.signal(signal.SIGTERM)
    assert await ended(leaving) == 128 + signal.SIGTERM
    assert (await workshop.types(job))[-1] == "SubmissionIntended", "it did not wait for the answer"

    await workshop.found(job, 1, task["taskId"])
    # It gave nothing back, so the entry is claimed when its lease is over: here at once.
    pending: Any = await workshop.redis.xpending_range(JOBS, GENERATION, "-", "+", 10)
    ids = [row["message_id"] for row in pending if row["consumer"] == b"w1"]
    await workshop.redis.xclaim(JOBS, GENERATION, "w1", 0, ids, idle=3_600_000, justid=True)
    await start("staying")
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and len(state.submissions) == 1
    assert len(await workshop.tasks()) == 1
    await workshop.audit()
    await workshop.nothing_pending()


@pytest.mark.slow
async def test_a_silent_redis_does_not_keep_it_from_handing_back_and_ending(
    workshop: WorkerFixture, start: StartWorker, own_valkey: EmbeddedValkey
) -> None:
    workshop.use_redis(own_valkey.url())
    workshop.sandbox.turn(render_seconds=600.0)
    leaving = await start("leaving")
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    assert own_valkey.pid is not None
    os.kill(own_valkey.pid, signal.SIGSTOP)
    try:
        leaving.signal(signal.SIGTERM)
        assert await ended(leaving) == 0
    finally:
        os.kill(own_valkey.pid, signal.SIGCONT)
    assert JobHandedBack(1) in await workshop.events(job)


async def test_a_stop_before_redis_was_ever_reached(workshop: WorkerFixture, services: Services) -> None:
    nowhere: dict[str, Any] = {
        "REDIS_URL": f"unix://{services.folder}/nowhere.sock",
        "SANDBOX_URL": workshop.sandbox.url,
    }
    process = await asyncio.to_thread(partial(services.start, "worker", **nowhere))
    await eventually(lambda: "trouble_met" in process.log, what="it waits for Redis")
    process.signal(signal.SIGTERM)
    assert await ended(process) == 0
