"""From the order to the worker and through a whole job, beside raw XADD and other job queues in the same run.

NEUROCARDS_BENCH_JOBS sets how many jobs, NEUROCARDS_BENCH_WORKERS how many worker processes.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest
import uvloop
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.accounts.personal_data import PersonalData
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.database import create_pool
from services.platform.logs import configure_logging
from services.platform.periodic import end_tasks
from services.platform.redis import blocking_client, command_client
from services.platform.redis_keys import JOBS
from services.platform.settings import Settings, load_settings
from services.streams.consumer.consumer import Consumer
from services.streams.consumer.held_entries import Fields
from services.streams.consumer.read import BLOCK_S
from services.streams.entries import GENERATION, decode_job
from tests.bench.figures import Run, show
from tests.bench.load import cpu_s
from tests.bench.peers.queues import QUEUES, installed, measure
from tests.bench.shop import Shop
from tests.support.servers import OPERATOR
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

pytestmark = pytest.mark.bench

JOBS_COUNT = int(os.environ.get("NEUROCARDS_BENCH_JOBS", "6000"))
WORKERS = int(os.environ.get("NEUROCARDS_BENCH_WORKERS", "2"))
OTHERS_COUNT = 2_000
PICKUPS_PER_S = 100
PICKUP_S = 5
EVENTS_PER_JOB = 7  # charged, queued, started, prompt, intended, accepted, succeeded


def test_jobs(durable: EmbeddedPostgres, own_valkey: EmbeddedValkey, tmp_path: Path) -> None:
    settings = load_settings(
        database_url=durable.url(user=OPERATOR),
        redis_url=own_valkey.url(),
        data_dir=tmp_path,
        log_level="warning",
    )
    configure_logging(settings, "bench")
    env = {"DATABASE_URL": durable.url(user=OPERATOR), "REDIS_URL": own_valkey.url(), "LOG_LEVEL": "warning"}
    relay = ServiceProcess("relay", tmp_path, env).start()
    command = [sys.executable, "-m", "tests.bench.instant"]
    env |= {"WORKER_SLOTS": "512"}
    workers = [
        ServiceProcess("worker", tmp_path, env, name=f"worker-{n}", command=command) for n in range(WORKERS)
    ]
    assert durable.pid and own_valkey.pid
    pids = {"Postgres": durable.pid, "Valkey": own_valkey.pid, "relay": relay.pid}
    try:
        ours = uvloop.run(_measure(settings, workers, pids))
    finally:
        for process in (relay, *workers):
            process.kill()
    _show_ours(ours)
    _show_queues(ours, durable.url(user=OPERATOR), own_valkey.url())


class Ours(NamedTuple):
    """What this run came to. `cpu_us` is CPU time per whole job, by process."""

    pickups: Run
    jobs_per_s: float
    cpu_us: dict[str, float]
    xadd_per_s: float


async def _measure(settings: Settings, workers: Sequence[ServiceProcess], pids: dict[str, int]) -> Ours:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "bench"))
        ledger = await stack.enter_async_context(Ledger(settings.require_database_url(), pool))
        redis = await stack.enter_async_context(command_client(settings))
        blocking = await stack.enter_async_context(blocking_client(settings, BLOCK_S))
        shop = Shop(ledger, PersonalData(pool))
        await shop.open()
        xadd_per_s = await _raw_xadd(redis)
        pickups = await _pickups(redis, blocking, shop)
        for worker in workers:
            worker.start()
        pids |= {worker.name: worker.pid for worker in workers}
        jobs_per_s, cpu_us = await _whole_jobs(pool, shop, pids)
    return Ours(pickups, jobs_per_s, cpu_us, xadd_per_s)


def _show_ours(ours: Ours) -> None:
    there_were_us = 1e6 * (os.cpu_count() or 1) / ours.jobs_per_s
    rows = [*ours.cpu_us.items(), ("all", sum(ours.cpu_us.values()))]
    show(
        f"CPU time of a whole job ({ours.jobs_per_s:,.0f}/s), of {there_were_us:,.0f} µs of all cores",
        ("process", "µs"),
        [(name, f"{us:,.0f}") for name, us in rows],
    )


def _show_queues(ours: Ours, postgres_url: str, redis_url: str) -> None:
    """Ours, and the others on the same servers."""
    p50_ms, p99_ms = ours.pickups.percentile_ms(50), ours.pickups.percentile_ms(99)
    what = f"ours, whole jobs of {EVENTS_PER_JOB} events"
    rows = [(what, f"{ours.jobs_per_s:,.0f}", p50_ms, p99_ms)]
    for name in QUEUES if installed() else ():
        others = measure(name, redis_url, postgres_url, OTHERS_COUNT)
        rows.append((f"{name}, empty jobs", f"{others.per_s:,.0f}", others.p50_ms, others.p99_ms))
    missing = "" if installed() else "; the other queues are not installed, `make bench` does that"
    show(
        f"Jobs, two workers; raw pipelined XADD: {ours.xadd_per_s:,.0f}/s{missing}",
        ("what", "jobs/s", f"p50 ms to the start at {PICKUPS_PER_S}/s", "p99 ms"),
        rows,
    )


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


async def _pickups(redis: Redis, blocking: Redis, shop: Shop) -> Run:
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
    await end_tasks(tasks)
    await consumer.leave()
    return Run(time.perf_counter() - begin, [watch.at[job] - start for job, start in asked.items()])


async def _whole_jobs(pool: "Pool", shop: Shop, pids: Mapping[str, int]) -> tuple[float, dict[str, float]]:
    """Jobs per second, from the first order to the last success, ordering included; and CPU µs per job."""

    async def all_done() -> bool:
        return await _unfinished(pool) == 0

    # What the stopwatch has picked up was acknowledged, and nobody works on it.
    await pool.execute("DELETE FROM open_jobs")
    await shop.order_many(WORKERS)
    await eventually(all_done)
    spent_s, own_s = {name: cpu_s(pid) for name, pid in pids.items()}, time.process_time()
    begin = time.perf_counter()
    await shop.order_many(JOBS_COUNT)
    await eventually(all_done, timeout_s=120, interval_s=0.05)
    elapsed = time.perf_counter() - begin
    used_s = {"orders": time.process_time() - own_s}
    used_s |= {name: cpu_s(pid) - spent_s[name] for name, pid in pids.items()}
    cost_us = {name: used * 1e6 / JOBS_COUNT for name, used in used_s.items()}
    return JOBS_COUNT / elapsed, cost_us


async def _unfinished(pool: "Pool") -> int:
    return int(await pool.fetchval("SELECT count(*) FROM open_jobs"))


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
