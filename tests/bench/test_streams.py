"""What operators wait for at the streams: rebuilding, verifying, looking; and new orders after a FLUSHALL.

BENCH_EVENTS sets the length of the log: 1,000,000 unless it says otherwise, 10,000,000 for the figures in
docs/performance.md.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop
from redis.asyncio import Redis

from services.cli.top.collect import Looking
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.database import create_pool
from services.platform.redis import command_client
from services.platform.redis_keys import JOBS
from services.platform.settings import Settings, load_settings
from services.streams.compare import check_streams
from services.streams.entries import GENERATION
from services.streams.publisher.rebuild import Rebuild
from services.streams.publisher.scripts import Scripts
from services.streams.status import stream_status
from tests.bench.big_log import fill
from tests.bench.figures import Run, show
from tests.bench.system import UNLIMITED, Bench, bench_system
from tests.support.servers import OPERATOR

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
LOOKS = 200

UNFINISHED = 1_000
ORDERS_PER_S = 20
WATCHED_S = 10
PICKUPS = """
SELECT q.recorded_at_us, (SELECT min(s.recorded_at_us) FROM events s
                          WHERE s.stream = q.stream AND s.type = 'JobStarted') AS started_at_us
FROM events q
WHERE q.position > $1 AND q.type = 'JobQueued' AND q.recorded_at_us >= $2 AND q.recorded_at_us < $3
"""


def test_streams(durable: EmbeddedPostgres, own_valkey: EmbeddedValkey) -> None:
    settings = load_settings(database_url=durable.url(user=OPERATOR), redis_url=own_valkey.url())
    uvloop.run(_measure(settings))


async def _measure(settings: Settings) -> None:
    log = await fill(settings.require_database_url(), EVENTS)
    async with await create_pool(settings, "bench") as pool, command_client(settings) as redis:
        rows = [
            ("rebuild", log.events, await _seconds(lambda: _rebuild(pool, redis, log.events))),
            ("verify", log.events, await _seconds(lambda: _verify(redis, pool))),
        ]
        looks = await _looks(lambda: _look(redis, pool))
    async with Looking(settings) as looking:
        views = await _looks(lambda: _view(looking, log.events))
    show(
        f"Streams of a log of {log.events:,} events",
        ("what", "entries", "seconds", "entries/s"),
        [(what, f"{count:,}", seconds, f"{count / seconds:,.0f}") for what, count, seconds in rows],
    )
    show(
        "A look at them, in this process",
        ("what", "looks", "p50 ms", "p99 ms", "longest ms"),
        [
            (what, LOOKS, *(run.percentile_ms(p) for p in (50, 99, 100)))
            for what, run in (("streams status", looks), ("top", views))
        ],
    )


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


async def _rebuild(pool: "asyncpg.Pool[asyncpg.Record]", redis: Redis, events: int) -> None:
    scripts = Scripts(redis, ledger_entries_max=events)
    built = await Rebuild(pool, scripts, entries=events, reach_back=10_000).run()
    assert built is not None and built.last - built.first + 1 == events


async def _verify(redis: Redis, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    assert (await check_streams(redis, pool)).problems == []


async def _looks(look: Callable[[], Awaitable[None]]) -> Run:
    begin = time.perf_counter()
    latencies = [await _seconds(look) for _ in range(LOOKS)]
    return Run(time.perf_counter() - begin, latencies)


async def _look(redis: Redis, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    assert (await stream_status(redis, pool, lease_s=30)).streams[0].tail == "as the log"


async def _view(looking: Looking, events: int) -> None:
    facts = await looking.look()
    assert (facts.postgres, facts.redis, facts.head) == (None, None, events)


async def test_flush(durable: EmbeddedPostgres, own_valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """FLUSHALL while orders come in and a thousand jobs are being rendered."""
    log = await fill(durable.url(user=OPERATOR), EVENTS)
    await _all_applied(durable.url(user=OPERATOR))
    settings = load_settings(database_url=durable.url(user=OPERATOR), redis_url=own_valkey.url())
    slots = {"WORKER_SLOTS": 2 * UNFINISHED}
    async with (
        bench_system(durable, own_valkey, tmp_path, **slots, **UNLIMITED) as bench,
        command_client(settings) as redis,
    ):
        for number in (1, 2):
            await bench.worker(f"worker-{number}")
        await asyncio.to_thread(lambda: bench.services.start("projector"))
        await bench.shop.order_many(UNFINISHED)
        await bench.until("SubmissionAccepted", UNFINISHED)
        ordering = asyncio.create_task(_order(bench))
        begin_us = await bench.now_us()
        await asyncio.sleep(WATCHED_S)
        flushed_us = await bench.now_us()
        flushed = time.perf_counter()
        await redis.flushall()
        await _held_again(redis)
        held_s = time.perf_counter() - flushed
        await asyncio.sleep(WATCHED_S)
        end_us = await bench.now_us()
        ordering.cancel()
        await asyncio.gather(ordering, return_exceptions=True)
        await asyncio.sleep(2)  # the last orders' own pick-up
        before = await _pickups(bench, begin_us, flushed_us)
        after = await _pickups(bench, flushed_us, end_us)
    show(
        f"FLUSHALL with {log.events:,} events and {UNFINISHED:,} unfinished jobs, {ORDERS_PER_S} orders/s;\n"
        f"all of the jobs were in workers' hands again after {held_s:.2f} s",
        ("from the order to its start", "orders", "p50 ms", "p99 ms", "longest ms"),
        [
            (name, len(run.latencies_s), *(run.percentile_ms(p) for p in (50, 99, 100)))
            for name, run in (("before", before), ("after", after))
        ],
    )


async def _all_applied(url: str) -> None:
    """As if every in-order consumer had come to the log's end."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE cursors c SET position = e.position, hash = e.hash"
        " FROM (SELECT position, hash FROM events ORDER BY position DESC LIMIT 1) e"
    )
    await connection.close()


async def _order(bench: Bench) -> None:
    while True:
        await asyncio.gather(bench.shop.order(), asyncio.sleep(1 / ORDERS_PER_S))


async def _held_again(redis: Redis) -> None:
    """Until the workers hold all unfinished jobs, in streams made anew."""
    async with asyncio.timeout(60):
        while True:
            try:
                pending: Any = await redis.xpending(JOBS, GENERATION)
            except Exception:  # there is no group yet
                pending = {"pending": 0}
            if pending["pending"] >= UNFINISHED:
                return
            await asyncio.sleep(0.01)


async def _pickups(bench: Bench, begin_us: int, end_us: int) -> Run:
    rows = await bench.pool.fetch(PICKUPS, bench.base, begin_us, end_us)
    assert all(row["started_at_us"] for row in rows), "an order was never picked up"
    return Run(WATCHED_S, [(row["started_at_us"] - row["recorded_at_us"]) / 1e6 for row in rows])
