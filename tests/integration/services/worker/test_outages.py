"""Redis wiped or away, Postgres cut off, entries gone or for nobody: no job is lost, none is made twice."""

import asyncio
from typing import Any

import asyncpg

from events.job import SubmissionAccepted, SubmissionIntended
from services.local.valkey import EmbeddedValkey
from services.platform.redis_keys import JOBS
from services.streams.entries import GENERATION
from services.streams.wake import wake_jobs
from tests.support.hand_made import append_unknown
from tests.support.waiting import eventually
from tests.support.worker_fixture import WorkerFixture


async def test_redis_is_wiped_in_the_middle(workshop: WorkerFixture) -> None:
    workshop.sandbox.turn(render_seconds=1.0)
    for _ in range(2):
        await workshop.worker()
    jobs = await workshop.order(6)
    for job in jobs:
        await workshop.come_to(job, SubmissionAccepted)
    await workshop.redis.flushall()
    await workshop.republish()
    jobs += await workshop.order(2)
    for job in jobs:
        state = await workshop.ended(job)
        assert state.outcome == "succeeded" and state.crashes == 0
    assert len(await workshop.tasks()) == 8
    await workshop.audit()
    await workshop.nothing_pending()


async def test_work_goes_on_while_redis_is_away(workshop: WorkerFixture, own_valkey: EmbeddedValkey) -> None:
    workshop.use_redis(own_valkey.url())
    workshop.sandbox.turn(render_seconds=1.0)
    await workshop.worker()
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    await asyncio.to_thread(own_valkey.stop)
    assert (await workshop.ended(job)).outcome == "succeeded"
    await asyncio.to_thread(own_valkey.start)
    (another,) = await workshop.order()
    assert (await workshop.ended(another)).outcome == "succeeded"
    assert len(await workshop.tasks()) == 2
    await workshop.audit()
    await workshop.nothing_pending()


async def test_a_worker_waits_for_redis_at_its_start(
    workshop: WorkerFixture, own_valkey: EmbeddedValkey
) -> None:
    workshop.use_redis(own_valkey.url())
    await asyncio.to_thread(own_valkey.stop)
    await workshop.worker()
    await asyncio.to_thread(own_valkey.start)
    (job,) = await workshop.order()
    assert (await workshop.ended(job)).outcome == "succeeded"


async def test_every_connection_to_postgres_is_cut_again_and_again(workshop: WorkerFixture) -> None:
    workshop.sandbox.turn(render_seconds=0.5)
    await workshop.worker()
    jobs = await workshop.order(5)
    for _ in range(8):
        await workshop.cut_postgres()
        await asyncio.sleep(0.2)  # the trouble itself, not a wait for something
    for job in jobs:
        state = await workshop.ended(job)
        assert state.outcome == "succeeded" and len(state.submissions) == 1
    assert len(await workshop.tasks()) == 5
    await workshop.audit()
    await workshop.nothing_pending()


async def test_the_database_can_only_be_read_for_a_while(
    workshop: WorkerFixture, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    workshop.sandbox.turn(render_seconds=0.5)
    await workshop.worker()
    jobs = await workshop.order(5)
    database = await owner.fetchval("SELECT current_database()")
    for setting in ("on", "off", "on", "off"):  # as a server does whose disk is full
        await owner.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {setting}")
        await workshop.cut_postgres()
        await asyncio.sleep(0.3)  # the trouble itself, not a wait for something
    for job in jobs:
        state = await workshop.ended(job)
        assert state.outcome == "succeeded" and state.crashes == 0 and len(state.submissions) == 1
    assert len(await workshop.tasks()) == 5
    await workshop.audit()
    await workshop.nothing_pending()


async def test_an_entry_trimmed_while_pending_is_found_in_the_log(workshop: WorkerFixture) -> None:
    (job,) = await workshop.order()
    await workshop.redis.xgroup_create(JOBS, GENERATION, id="0")
    await workshop.redis.xreadgroup(GENERATION, "w9", {JOBS: ">"})  # somebody took it and died
    await workshop.redis.xtrim(JOBS, maxlen=0, approximate=False)
    await workshop.worker()
    assert (await workshop.ended(job)).outcome == "succeeded"
    await workshop.nothing_pending()


async def test_entries_that_mean_nothing_are_put_away(workshop: WorkerFixture) -> None:
    odd: list[dict[Any, Any]] = [
        {"job": "nobody", "type": "JobQueued"},
        {"job": "nobody", "type": "SubmissionAccepted"},
        {"job": "nobody", "type": "SomethingNew"},
        {"what": "is this"},
    ]
    for number, fields in enumerate(odd, start=1):
        await workshop.redis.xadd(JOBS, fields, id=f"0-{number}")
    await workshop.worker()
    (job,) = await workshop.order()
    assert (await workshop.ended(job)).outcome == "succeeded"
    await workshop.nothing_pending()


async def test_news_of_a_task_reach_the_worker_that_waits_for_it(workshop: WorkerFixture) -> None:
    """The entry comes to whoever reads first; the holder hears of it at once all the same."""
    workshop.sandbox.fault("kie", "createTask", "drop_after_accept", times=1)
    await workshop.worker(kie_poll_seconds=60.0)  # by itself it would look at the ledger every 5 s
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionIntended)
    (task,) = [task async for task in workshop.until_tasks(1)]
    others = [await workshop.worker(kie_poll_seconds=60.0) for _ in range(2)]
    await eventually(lambda: all(other.worker._consumer.name for other in others))
    await workshop.finished_at_the_provider()
    await workshop.found(job, 1, task["taskId"])
    assert (await workshop.ended(job)).outcome == "succeeded"
    assert (await workshop.types(job)).count("JobStarted") == 1


async def test_a_hint_makes_a_worker_look_before_its_time(workshop: WorkerFixture) -> None:
    await workshop.worker(kie_poll_seconds=60.0)
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    await workshop.finished_at_the_provider()

    async def ended() -> bool:
        await wake_jobs(workshop.redis, [job])  # what the web process does when a callback comes
        return bool((await workshop.job(job)).outcome)

    await eventually(ended, interval_s=0.2)
    await workshop.audit()


async def test_a_job_failed_by_another_is_let_go(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "never_finishes")
    running = await workshop.worker()
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    await workshop.fail(job)
    await eventually(lambda: len(running.worker._pool) == 0)
    await workshop.nothing_pending()
    await workshop.audit()


async def test_a_stale_run_is_let_go(workshop: WorkerFixture) -> None:
    workshop.sandbox.turn(render_seconds=1.0)
    running = await workshop.worker()
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    await workshop.steal(job, run=2)
    await eventually(lambda: len(running.worker._pool) == 0)
    # Its entry is left to whoever sweeps after the lease: the thief has vanished, and run 3 finishes.
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and state.run == 3
    assert len(await workshop.tasks()) == 1
    await workshop.audit()


async def test_slots_bound_what_is_in_hand(workshop: WorkerFixture) -> None:
    workshop.sandbox.turn(render_seconds=0.5)
    running = await workshop.worker(worker_slots=2)
    jobs = await workshop.order(6)
    most = 0

    async def all_ended() -> bool:
        nonlocal most
        most = max(most, len(running.worker._pool))
        return not await workshop.ledger.read.open_jobs()

    await eventually(all_ended)
    assert most == 2
    assert len(await workshop.tasks()) == len(jobs)
    await workshop.audit()
    await workshop.nothing_pending()


async def test_a_job_that_a_newer_version_wrote_in_is_let_go_and_takes_no_slot(
    workshop: WorkerFixture,
) -> None:
    """Held, it would keep the newer version's worker from it, and others' jobs waiting."""
    workshop.sandbox.turn(render_seconds=30)
    first = await workshop.worker(worker_slots=1)
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    await append_unknown(workshop._owner, f"job-{job}")
    await wake_jobs(workshop.redis, [job])
    await eventually(lambda: len(first.worker._pool) == 0)
    workshop.sandbox.turn(render_seconds=0.2)
    (other,) = await workshop.order()
    assert (await workshop.ended(other)).outcome == "succeeded"

    state = await workshop.job(job)
    assert state.broken and not state.outcome and not state.run_open, "handed back: its run was no crash"
    await workshop.fail(job)
    assert (await workshop.job(job)).outcome == "failed"
