"""From the order to the worker, and through a whole job, beside raw XADD in the same run."""

import asyncio
import itertools
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import uvloop
from redis.asyncio import Redis

from ledger import commands as c
from ledger.log import Ledger
from services.local.valkey import EmbeddedValkey
from services.shared.consumer.consumer import Consumer
from services.shared.consumer.hands import Fields
from services.shared.consumer.reading import BLOCK_S
from services.shared.database import create_pool
from services.shared.logs import configure_logging
from services.shared.people import Brief, People
from services.shared.redis_client import blocking_client, command_client
from services.shared.settings import Settings, load_settings
from services.shared.streams import GENERATION, JOBS, decode_job
from services.worker.worker import Worker
from tests.bench.figures import Run, show
from tests.bench.instant import instant_tools
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

pytestmark = pytest.mark.bench

SELLERS = 64
JOBS_COUNT = 3_000
PICKUPS_PER_S = 100
PICKUP_S = 5
EVENTS_PER_JOB = 7  # charged, queued, started, prompt, intended, accepted, succeeded


def test_jobs(durable_url: str, own_valkey: EmbeddedValkey, tmp_path: Path) -> None:
    env = {"DATABASE_URL": durable_url, "REDIS_URL": own_valkey.url()}
    settings = load_settings(
        database_url=durable_url, redis_url=own_valkey.url(), data_dir=tmp_path, log_level="warning"
    )
    configure_logging(settings, "bench")
    relay = ServiceProcess("relay", tmp_path, env).start()
    try:
        uvloop.run(_measure(settings))
    finally:
        relay.kill()


async def _measure(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "bench"))
        ledger = await stack.enter_async_context(Ledger(settings.require_database_url(), pool))
        redis = await stack.enter_async_context(command_client(settings))
        blocking = await stack.enter_async_context(blocking_client(settings, BLOCK_S))
        shop = Shop(ledger, People(pool))
        await shop.open()
        xadd_per_s = await _raw_xadd(redis)
        pickups = await _pickups(settings, redis, blocking, shop)
        async with await create_pool(settings, "worker") as worker_pool:
            tools = await instant_tools(ledger, worker_pool, redis)
            worker = Worker(tools, redis, blocking, slots=512, lease_s=30)
            jobs_per_s = await _whole_jobs(worker, pool, shop)
    show(
        f"Jobs: separate relay process, real Postgres and Valkey (raw pipelined XADD: {xadd_per_s:,.0f}/s)",
        ("what", "figure", "p50 ms", "p99 ms"),
        [
            (
                f"order → pick-up at {PICKUPS_PER_S}/s",
                f"{len(pickups.latencies_s)} orders",
                pickups.percentile_ms(50),
                pickups.percentile_ms(99),
            ),
            (f"whole jobs, {EVENTS_PER_JOB} events each", f"{jobs_per_s:,.0f} jobs/s", "", ""),
        ],
    )


class Shop:
    """Sellers with credits and one brief each."""

    def __init__(self, ledger: Ledger, people: People) -> None:
        self._ledger = ledger
        self._people = people
        self._serial = itertools.count()
        self._sellers: list[tuple[str, str]] = []

    async def open(self) -> None:
        for seller in range(SELLERS):
            account = (await self._people.account_of(seller, "ru")).account
            brief = await self._people.keep_text(account, Brief("a blue mug"))
            await self._ledger.execute(c.OpenAccount(account), key=f"open:{account}")
            await self._ledger.execute(c.AcceptTerms(account, "1", 1_000_000), key=f"terms:{account}:1")
            self._sellers.append((account, brief))

    async def order(self) -> str:
        """Order one video; the job's id."""
        n = next(self._serial)
        account, brief = self._sellers[n % SELLERS]
        job = f"{n:024d}"
        order = c.OrderVideos(
            account, job, (job,), 1, "bytedance/seedance-2-fast", "ugc", "photos/p.jpg", brief, "en", 900
        )
        await self._ledger.execute(order, key=f"order:{job}")
        return job


class Stopwatch:
    """A holder that notes when it is given a job, and is done with it."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.consumer: Consumer | None = None

    def free(self) -> int:
        return 100

    async def wait_free(self) -> None:
        return

    def take(self, entry: str, fields: Fields) -> bool:
        self.at[decode_job(entry, fields).job] = time.perf_counter()
        return False

    def lost(self, entry: str) -> None:
        return


async def _pickups(settings: Settings, redis: Redis, blocking: Redis, shop: Shop) -> Run:
    """Orders at a steady pace; from asking the ledger to a worker's hands."""
    watch = Stopwatch()
    consumer = Consumer(redis, blocking, watch, stream=JOBS, group=GENERATION, lease_s=30)
    await consumer.start()
    tasks = [asyncio.create_task(consumer.read()), asyncio.create_task(consumer.keep())]
    asked: dict[str, float] = {}

    async def one() -> None:
        start = time.perf_counter()
        asked[await shop.order()] = start

    begin = time.perf_counter()
    orders = []
    for n in range(PICKUPS_PER_S * PICKUP_S):
        await asyncio.sleep(max(0.0, begin + n / PICKUPS_PER_S - time.perf_counter()))
        orders.append(asyncio.create_task(one()))
    await asyncio.gather(*orders)
    await eventually(lambda: watch.at.keys() >= asked.keys())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await consumer.leave()
    return Run(time.perf_counter() - begin, [watch.at[job] - start for job, start in asked.items()])


async def _whole_jobs(worker: Worker, pool: "Pool", shop: Shop) -> float:
    """Jobs per second, from the first order to the last success; ordering included."""
    stop = asyncio.Event()
    work = asyncio.create_task(worker.run(stop))
    done_before = await _succeeded(pool)
    left = iter(range(JOBS_COUNT))
    begin = time.perf_counter()

    async def seller() -> None:
        for _ in left:
            await shop.order()

    await asyncio.gather(*[seller() for _ in range(SELLERS)])

    async def all_done() -> bool:
        return await _succeeded(pool) - done_before >= JOBS_COUNT

    await eventually(all_done, timeout_s=120, interval_s=0.1)
    elapsed = time.perf_counter() - begin
    stop.set()
    await work
    return JOBS_COUNT / elapsed


async def _succeeded(pool: "Pool") -> int:
    # The index of the guard "one end per job" makes this cheap enough to ask ten times a second.
    sql = "SELECT count(*) FROM events WHERE type IN ('JobSucceeded', 'JobFailed')"
    return int(await pool.fetchval(sql))


async def _raw_xadd(redis: Redis) -> float:
    """Entries per second of pipelined XADD, 500 at a time, of the size of an event."""
    entry = {b"event": b"x" * 400}
    count = 50_000
    begin = time.perf_counter()
    for start in range(1, count, 500):
        async with redis.pipeline(transaction=False) as pipeline:
            for n in range(start, start + 500):
                pipeline.xadd("{neurocards}:bench", entry, id=f"{n}-0")  # type: ignore[arg-type]
            await pipeline.execute()
    elapsed = time.perf_counter() - begin
    await redis.delete("{neurocards}:bench")
    return count / elapsed
