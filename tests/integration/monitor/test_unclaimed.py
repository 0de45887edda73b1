"""Jobs whose stream entry was lost are given out once more; those that somebody has, or will get, never."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from redis.asyncio import Redis

from events.job import JobReissued
from ledger import commands as c
from ledger.log import Ledger
from services.monitor.unclaimed import (
    REISSUES_MAX,
    Entry,
    Streams,
    Unclaimed,
    UnclaimedJobs,
    reaches_somebody,
)
from services.shared.redis_client import command_client
from services.shared.settings import load_settings
from services.shared.streams import GENERATION, JOBS, LEDGER, entry_id, job_entry
from tests.integration.monitor.conftest import count
from tests.support.services import Services
from tests.support.studio import PlacedOrder, Studio
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

NOBODY, PENDING, THERE = Entry(False, False), Entry(True, False), Entry(False, True)


@pytest.mark.parametrize(
    ("entry", "delivered", "reaches"),
    [
        (THERE, 4, True),  # still to be delivered
        (THERE, 5, False),  # delivered, and in nobody's hands
        (NOBODY, 4, False),  # deleted before it was delivered
        (NOBODY, 9, False),
        (PENDING, 9, True),  # also when it was trimmed
        (Entry(True, True), 9, True),
        (NOBODY, None, True),  # without a group all is given again
    ],
)
def test_who_will_be_given_an_entry(entry: Entry, delivered: int | None, reaches: bool) -> None:
    assert reaches_somebody((5,), Streams(9, delivered, {5: entry})) == reaches


def test_one_entry_of_several_is_enough_and_what_is_not_published_yet_will_be() -> None:
    lost = {5: NOBODY, 8: NOBODY}
    assert not reaches_somebody((5, 8), Streams(8, 8, lost))
    assert reaches_somebody((5, 8), Streams(8, 8, lost | {5: PENDING})), "after a wipe there is the first one"
    assert reaches_somebody((5, 8), Streams(8, 6, lost | {8: THERE}))
    assert reaches_somebody((5, 8), Streams(7, 6, lost)), "the relay is behind"


class Shelf:
    """Relay and workers as far as the streams show them."""

    def __init__(self, redis: Redis, ledger: Ledger, pool: "Pool") -> None:
        self.redis = redis
        self._ledger = ledger
        self._pool = pool
        self._published = 0

    async def publish(self, *, jobs: bool = True) -> None:
        """All there is, as the relay does it; not to `jobs` when that is to be lost."""
        if not await self.redis.exists(JOBS):
            await self.redis.xgroup_create(JOBS, GENERATION, id="0", mkstream=True)
        for event in await self._ledger.read.events_after(self._published, 10_000):
            self._published = event.position
            await self.redis.xadd(LEDGER, {"event": "x"}, id=entry_id(event.position))
            entry = job_entry(event)
            if jobs and entry is not None:
                await self.redis.xadd(
                    JOBS, {"job": entry.job, "type": entry.type}, id=entry_id(event.position)
                )

    async def deliver(self, entries: int = 1000) -> None:
        await self.redis.xreadgroup(GENERATION, "w1", {JOBS: ">"}, count=entries)

    async def entry(self, job: str, number: int = 0) -> str:
        """The ID of the job's first entry, or of that of its reissue `number`."""
        rows = await self._pool.fetch(
            "SELECT position FROM events WHERE stream = $1 AND type IN ('JobQueued', 'JobReissued')"
            " ORDER BY position",
            f"job-{job}",
        )
        return entry_id(rows[number]["position"])

    def monitor(self, redis: Redis | None = None, *, unmoved_s: float = 0.0) -> UnclaimedJobs:
        return UnclaimedJobs(self._ledger, self._pool, redis or self.redis, unmoved_s=unmoved_s)


@pytest.fixture
async def shelf(redis_url: str, ledger: Ledger, pool: "Pool") -> AsyncIterator[Shelf]:
    async with command_client(load_settings(redis_url=redis_url)) as client:
        yield Shelf(client, ledger, pool)


@pytest.fixture
async def order(studio: Studio) -> PlacedOrder:
    return await studio.order(await studio.seller(), 4)


async def reissued(ledger: Ledger, job: str) -> int:
    return (await ledger.read.job(job)).reissues


async def test_healthy_jobs_are_left_alone(
    order: PlacedOrder, shelf: Shelf, ledger: Ledger, studio: Studio
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


async def lose_deleted(shelf: Shelf, entry: str) -> None:
    await shelf.publish()
    await shelf.redis.xdel(JOBS, entry)


async def lose_acknowledged(shelf: Shelf, entry: str) -> None:
    await shelf.publish()
    await shelf.deliver()
    await shelf.redis.xack(JOBS, GENERATION, entry)


async def lose_trimmed(shelf: Shelf, entry: str) -> None:
    """Trimmed while pending: what its holder does to renew it makes the server drop it."""
    await shelf.publish()
    await shelf.deliver()
    await shelf.redis.xdel(JOBS, entry)
    await shelf.redis.xclaim(JOBS, GENERATION, "w1", 0, [entry], justid=True)


async def lose_with_its_consumer(shelf: Shelf, entry: str) -> None:
    await shelf.publish()
    await shelf.redis.xreadgroup(GENERATION, "gone", {JOBS: ">"}, count=1)
    assert await shelf.redis.xgroup_delconsumer(JOBS, GENERATION, "gone") == 1, "it had the entry"


async def lose_unpublished(shelf: Shelf, entry: str) -> None:
    await shelf.publish(jobs=False)
    for open_job in await shelf._ledger.read.open_jobs():
        if entry_id(open_job.position) != entry:
            fields: Any = {"job": open_job.job, "type": "JobQueued"}
            await shelf.redis.xadd(JOBS, fields, id=entry_id(open_job.position))


@pytest.mark.parametrize(
    "lose", [lose_deleted, lose_acknowledged, lose_trimmed, lose_with_its_consumer, lose_unpublished]
)
async def test_a_lost_entry_is_seen_twice_and_then_reissued_once(
    order: PlacedOrder, shelf: Shelf, ledger: Ledger, lose: Any
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
    order: PlacedOrder, shelf: Shelf, pool: "Pool", database_url: str
) -> None:
    await shelf.publish()
    for job in order.jobs:
        await shelf.redis.xdel(JOBS, await shelf.entry(job))
    async with Ledger(database_url, pool) as second:
        monitors = [shelf.monitor(), UnclaimedJobs(second, pool, shelf.redis, unmoved_s=0)]
        for _ in range(3):
            await asyncio.gather(*(monitor.run_once() for monitor in monitors))
    assert await count(pool, "JobReissued") == 4


async def test_what_has_just_moved_is_left_alone(order: PlacedOrder, shelf: Shelf) -> None:
    await shelf.publish()
    await shelf.redis.xdel(JOBS, await shelf.entry(order.jobs[0]))
    assert await shelf.monitor(unmoved_s=60).look() == set()
    assert len(await shelf.monitor().look()) == 1


async def test_a_job_that_ends_between_two_looks_is_not_reissued(
    order: PlacedOrder, shelf: Shelf, ledger: Ledger, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: both looks have seen it unclaimed, and it ends before the command is executed."""
    await shelf.publish()
    await shelf.redis.xdel(JOBS, await shelf.entry(order.jobs[0]))
    monitor = shelf.monitor()
    await monitor.run_once()
    look = monitor.look

    async def look_and_lose_the_race() -> set[Unclaimed]:
        found = await look()
        await studio.fail(order, order.jobs[0])
        return found

    monkeypatch.setattr(monitor, "look", look_and_lose_the_race)
    assert await monitor.run_once() == 0
    assert JobReissued.__name__ not in [e.type for e in await ledger.read.stream(f"job-{order.jobs[0]}")]


async def test_a_reissued_entry_may_be_lost_too_but_not_for_ever(
    order: PlacedOrder, shelf: Shelf, ledger: Ledger
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
    order: PlacedOrder, shelf: Shelf, ledger: Ledger
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
    order: PlacedOrder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    studio: Studio, shelf: Shelf, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.monitor.unclaimed.PAGE_JOBS", 7)
    order = await studio.order(await studio.seller(), 30)
    await shelf.publish()
    for job in order.jobs[::3]:
        await shelf.redis.xdel(JOBS, await shelf.entry(job))
    monitor = shelf.monitor()
    assert {unclaimed.job for unclaimed in await monitor.look()} == set(order.jobs[::3])


async def test_the_processes_bring_a_lost_job_to_a_worker(
    services: Services, studio: Studio, shelf: Shelf, ledger: Ledger
) -> None:
    """A real relay, monitor and worker; somebody deletes the entry before there is a worker."""
    await asyncio.to_thread(services.start, "relay")
    (job,) = (await studio.order(await studio.seller())).jobs
    entry = await shelf.entry(job)
    await eventually(lambda: shelf.redis.xrange(JOBS, entry, entry), what="the entry is published")
    await shelf.redis.xdel(JOBS, entry)
    worker = await asyncio.to_thread(lambda: services.start("worker", LEASE_SECONDS=0.5))
    await asyncio.to_thread(lambda: services.start("monitor", LEASE_SECONDS=0.5))

    async def started() -> bool:
        return (await ledger.read.job(job)).run == 1

    await eventually(started, 30, what=lambda: f"a worker has the job\n{worker.log}")
    assert await reissued(ledger, job) == 1
