"""Jobs whose stream entry was lost are given out once more; those that somebody has, or will get, never."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from events.job import JobReissued
from ledger import commands as c
from ledger.log.ledger import Ledger
from services.maintenance.orphaned_jobs import REISSUES_MAX, OrphanedJob, OrphanedJobs
from services.platform.redis import command_client
from services.platform.redis_keys import JOBS
from services.platform.settings import load_settings
from services.streams.entries import GENERATION, entry_id
from tests.integration.services.maintenance.conftest import count
from tests.support.order_fixture import OrderFixture, PlacedOrder
from tests.support.services import Services
from tests.support.stream_entries import StreamEntries
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def shelf(redis_url: str, ledger: Ledger, pool: "Pool") -> AsyncIterator[StreamEntries]:
    async with command_client(load_settings(redis_url=redis_url)) as client:
        yield StreamEntries(client, ledger, pool)


@pytest.fixture
async def order(studio: OrderFixture) -> PlacedOrder:
    return await studio.order(await studio.seller(), 4)


async def reissued(ledger: Ledger, job: str) -> int:
    return (await ledger.read.job(job)).reissues


async def test_healthy_jobs_are_left_alone(
    order: PlacedOrder, shelf: StreamEntries, ledger: Ledger, studio: OrderFixture
) -> None:
    """To be delivered, in a worker's hands, over, trimmed under the worker, and not published yet."""
    monitor = shelf.monitor()
    await monitor.run_once()  # no stream
    await shelf.publish()
    await monitor.run_once()  # nothing is delivered
    await shelf.deliver(3)
    await studio.finish(order.jobs[0])
    await shelf.redis.xack(JOBS, GENERATION, await shelf.entry(order.jobs[0]))
    await shelf.redis.xtrim(JOBS, minid=await shelf.entry(order.jobs[2]), approximate=False)
    await studio.order(order.seller)  # the relay is behind
    for _ in range(3):
        assert await monitor.run_once() == 0
    assert await monitor.look() == set()


async def lose_deleted(shelf: StreamEntries, entry: str) -> None:
    await shelf.publish()
    await shelf.redis.xdel(JOBS, entry)


async def lose_acknowledged(shelf: StreamEntries, entry: str) -> None:
    await shelf.publish()
    await shelf.deliver()
    await shelf.redis.xack(JOBS, GENERATION, entry)


async def lose_trimmed(shelf: StreamEntries, entry: str) -> None:
    """Trimmed while pending: what its holder does to renew it makes the server drop it."""
    await shelf.publish()
    await shelf.deliver()
    await shelf.redis.xdel(JOBS, entry)
    await shelf.redis.xclaim(JOBS, GENERATION, "w1", 0, [entry], justid=True)


async def lose_with_its_consumer(shelf: StreamEntries, entry: str) -> None:
    await shelf.publish()
    await shelf.redis.xreadgroup(GENERATION, "gone", {JOBS: ">"}, count=1)
    assert await shelf.redis.xgroup_delconsumer(JOBS, GENERATION, "gone") == 1, "it had the entry"


async def lose_unpublished(shelf: StreamEntries, entry: str) -> None:
    await shelf.publish(jobs=False)
    for open_job in await shelf._ledger.read.open_jobs():
        if entry_id(open_job.position) != entry:
            fields: Any = {"job": open_job.job, "type": "JobQueued"}
            await shelf.redis.xadd(JOBS, fields, id=entry_id(open_job.position))


@pytest.mark.parametrize(
    "lose", [lose_deleted, lose_acknowledged, lose_trimmed, lose_with_its_consumer, lose_unpublished]
)
async def test_a_lost_entry_is_seen_twice_and_then_reissued_once(
    order: PlacedOrder, shelf: StreamEntries, ledger: Ledger, lose: Any
) -> None:
    job = order.jobs[0]  # the first, which is delivered first
    await lose(shelf, await shelf.entry(job))
    monitor, other = shelf.monitor(), shelf.monitor()
    assert [await monitor.run_once(), await other.run_once()] == [0, 0], "one look is not enough"
    assert await monitor.run_once() == 1
    await other.run_once()
    assert await reissued(ledger, job) == 1
    assert [await reissued(ledger, other_job) for other_job in order.jobs[1:]] == [0, 0, 0]
    await shelf.publish()
    for _ in range(3):
        assert await monitor.run_once() == 0, "it has an entry again"
    await shelf.deliver()
    assert await monitor.run_once() == 0


async def test_two_monitors_reissue_once(
    order: PlacedOrder, shelf: StreamEntries, pool: "Pool", database_url: str
) -> None:
    await shelf.publish()
    for job in order.jobs:
        await shelf.redis.xdel(JOBS, await shelf.entry(job))
    async with Ledger(database_url, pool) as second:
        monitors = [shelf.monitor(), OrphanedJobs(second, pool, shelf.redis, unmoved_s=0)]
        for _ in range(3):
            await asyncio.gather(*(monitor.run_once() for monitor in monitors))
    assert await count(pool, "JobReissued") == 4


async def test_what_has_just_moved_is_left_alone(order: PlacedOrder, shelf: StreamEntries) -> None:
    await shelf.publish()
    await shelf.redis.xdel(JOBS, await shelf.entry(order.jobs[0]))
    assert await shelf.monitor(unmoved_s=60).look() == set()
    assert len(await shelf.monitor().look()) == 1


async def test_a_job_that_ends_between_two_looks_is_not_reissued(
    order: PlacedOrder,
    shelf: StreamEntries,
    ledger: Ledger,
    studio: OrderFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worst moment: both looks have seen it unclaimed, and it ends before the command is executed."""
    await shelf.publish()
    await shelf.redis.xdel(JOBS, await shelf.entry(order.jobs[0]))
    monitor = shelf.monitor()
    await monitor.run_once()
    look = monitor.look

    async def look_and_lose_the_race() -> set[OrphanedJob]:
        found = await look()
        await studio.fail(order, order.jobs[0])
        return found

    monkeypatch.setattr(monitor, "look", look_and_lose_the_race)
    assert await monitor.run_once() == 0
    assert JobReissued.__name__ not in [e.type for e in await ledger.read.stream(f"job-{order.jobs[0]}")]


async def test_a_reissued_entry_may_be_lost_too_but_not_for_ever(
    order: PlacedOrder, shelf: StreamEntries, ledger: Ledger
) -> None:
    job = order.jobs[0]
    await shelf.publish()
    await shelf.redis.xdel(JOBS, await shelf.entry(job))
    monitor = shelf.monitor()
    for number in range(1, REISSUES_MAX + 3):
        await monitor.run_once()
        await monitor.run_once()
        await shelf.publish()
        assert await reissued(ledger, job) == min(number, REISSUES_MAX)
        await shelf.redis.xdel(JOBS, await shelf.entry(job, -1))


async def test_after_a_wipe_the_first_entry_stands_for_a_reissued_job(
    order: PlacedOrder, shelf: StreamEntries, ledger: Ledger
) -> None:
    job = order.jobs[0]
    await ledger.execute(c.ReissueJob(job, 1), key=f"reissue:{job}:1")
    await shelf.publish()
    await shelf.redis.delete(JOBS)
    await shelf.redis.xgroup_create(JOBS, GENERATION, id="0", mkstream=True)
    for open_job in await ledger.read.open_jobs():
        fields: Any = {"job": open_job.job, "type": "JobQueued"}
        await shelf.redis.xadd(JOBS, fields, id=entry_id(open_job.position))
    assert await shelf.monitor().look() == set()
    await shelf.deliver()
    assert await shelf.monitor().look() == set()


async def test_while_redis_is_away_nothing_is_said_and_the_next_look_is_a_first_one(
    order: PlacedOrder, shelf: StreamEntries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.redis.AWAY_S", 0.0)
    await shelf.publish()
    await shelf.redis.xdel(JOBS, await shelf.entry(order.jobs[0]))
    monitor = shelf.monitor()
    await monitor.run_once()
    with monkeypatch.context() as patch:

        async def away(**_: Any) -> None:
            raise ConnectionResetError

        patch.setattr(monitor, "_script", away)
        assert await monitor.run_once() == 0
    assert await monitor.run_once() == 0
    assert await monitor.run_once() == 1


async def test_many_jobs_take_several_pages(
    studio: OrderFixture, shelf: StreamEntries, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.maintenance.orphaned_jobs.PAGE_JOBS", 7)
    order = await studio.order(await studio.seller(), 30)
    await shelf.publish()
    for job in order.jobs[::3]:
        await shelf.redis.xdel(JOBS, await shelf.entry(job))
    monitor = shelf.monitor()
    assert {unclaimed.job for unclaimed in await monitor.look()} == set(order.jobs[::3])


async def test_the_processes_bring_a_lost_job_to_a_worker(
    services: Services, studio: OrderFixture, shelf: StreamEntries, ledger: Ledger
) -> None:
    """A real relay, maintenance and worker; somebody deletes the entry before there is a worker."""
    await asyncio.to_thread(services.start, "relay")
    (job,) = (await studio.order(await studio.seller())).jobs
    entry = await shelf.entry(job)
    await eventually(lambda: shelf.redis.xrange(JOBS, entry, entry), what="the entry is published")
    await shelf.redis.xdel(JOBS, entry)
    worker = await asyncio.to_thread(lambda: services.start("worker", LEASE_SECONDS=2))
    await asyncio.to_thread(lambda: services.start("maintenance", LEASE_SECONDS=2))

    async def started() -> bool:
        return (await ledger.read.job(job)).run == 1

    await eventually(started, what=lambda: f"a worker has the job\n{worker.log}")
    assert await reissued(ledger, job) == 1
