"""What operators wait for at the streams: rebuilding, verifying, looking; and new orders after a FLUSHALL.

BENCH_EVENTS sets the length of the log: 1,000,000 unless it says otherwise, 10,000,000 for the figures in
docs/performance.md.
"""

import os
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
import uvloop
from redis.asyncio import Redis

from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.shared.database import create_pool
from services.shared.publishing.rebuilding import Rebuild
from services.shared.publishing.scripts import Scripts
from services.shared.redis_client import command_client
from services.shared.settings import Settings, load_settings
from services.shared.stream_check import check_streams
from tests.bench.big_log import fill
from tests.bench.figures import show

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))


def test_streams(durable: EmbeddedPostgres, own_valkey: EmbeddedValkey) -> None:
    settings = load_settings(database_url=durable.url(), redis_url=own_valkey.url())
    uvloop.run(_measure(settings))


async def _measure(settings: Settings) -> None:
    log = await fill(settings.require_database_url(), EVENTS)
    async with await create_pool(settings, "bench") as pool, command_client(settings) as redis:
        rows = [
            ("rebuild", log.events, await _seconds(lambda: _rebuild(pool, redis, log.events))),
            ("verify", log.events, await _seconds(lambda: _verify(redis, pool))),
        ]
    show(
        f"Streams of a log of {log.events:,} events",
        ("what", "entries", "seconds", "entries/s"),
        [(what, f"{count:,}", seconds, f"{count / seconds:,.0f}") for what, count, seconds in rows],
    )


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


async def _rebuild(pool: "asyncpg.Pool[asyncpg.Record]", redis: Redis, events: int) -> None:
    scripts = Scripts(redis, ledger_entries_max=events)
    built = await Rebuild(pool, scripts, entries=events, reach_back=10_000).run()
    assert built is not None


async def _verify(redis: Redis, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    assert (await check_streams(redis, pool)).problems == []
