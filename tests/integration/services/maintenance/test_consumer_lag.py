"""How far every consumer is behind, and since when."""

import math
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from services.maintenance.gauges import ConsumerLag
from services.platform.redis import command_client
from services.platform.redis_keys import JOBS, LEDGER
from services.platform.settings import load_settings
from services.streams.entries import GENERATION
from tests.integration.services.maintenance.conftest import metric, recorded_at
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


async def test_the_lag_of_every_consumer(
    studio: OrderFixture, pool: "Pool", redis: Redis, ledger: Ledger
) -> None:
    order = await studio.order(await studio.seller(), 3)
    head = (await ledger.read.head()).position
    queued = [job.position for job in await ledger.read.open_jobs()]
    lags = ConsumerLag(pool, redis)
    await lags.run_once()  # no stream is there yet
    assert metric("consumer_lag_positions", consumer="relay") == head
    assert metric("consumer_lag_positions", consumer="generation") == 0

    await redis.xadd(LEDGER, {"event": "x"}, id=f"{head - 1}-0")
    for position, job in zip(queued, order.jobs, strict=True):
        await redis.xadd(JOBS, {"job": job, "type": "JobQueued"}, id=f"{position}-0")
    await redis.xgroup_create(JOBS, GENERATION, id="0")
    await redis.xreadgroup(GENERATION, "w1", {JOBS: ">"}, count=1)
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0, head - 2))
    await lags.run_once()
    assert metric("consumer_lag_positions", consumer="relay") == 1
    assert metric("consumer_lag_positions", consumer="generation") == queued[-1] - queued[0]
    assert metric("consumer_lag_positions", consumer="job_status") == 2
    assert metric("consumer_lag_positions", consumer="notifier") == head
    oldest = "consumer_oldest_unapplied_timestamp_seconds"
    assert metric(oldest, consumer="relay") == pytest.approx(await recorded_at(pool, head))
    assert metric(oldest, consumer="job_status") == pytest.approx(await recorded_at(pool, head - 1))

    await runner.apply(await ledger.read.events_after(head - 2))
    await redis.xadd(LEDGER, {"event": "x"}, id=f"{head}-0")
    await lags.run_once()
    assert metric(oldest, consumer="relay") == metric(oldest, consumer="job_status") == 0


async def test_what_was_published_last_is_remembered_while_redis_is_away(
    studio: OrderFixture, pool: "Pool", redis: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await studio.seller()
    head = (await ledger.read.head()).position
    await redis.xadd(LEDGER, {"event": "x"}, id=f"{head}-0")
    oldest = "consumer_oldest_unapplied_timestamp_seconds"
    lags, fresh = ConsumerLag(pool, redis), ConsumerLag(pool, redis)
    await lags.run_once()
    assert metric(oldest, consumer="relay") == 0

    async def away(_: Redis) -> tuple[int, int, int]:
        raise ConnectionRefusedError

    monkeypatch.setattr("services.maintenance.gauges._positions", away)
    await studio.seller()
    await fresh.run_once()
    assert math.isnan(metric(oldest, consumer="relay"))
    await lags.run_once()
    assert metric(oldest, consumer="relay") == pytest.approx(await recorded_at(pool, head + 1))


async def test_a_redis_that_is_away_is_counted_and_the_others_are_measured(
    studio: OrderFixture, pool: "Pool", ledger: Ledger, tmp_path: Any
) -> None:
    await studio.seller()
    before = metric("maintenance_redis_failures_total")
    async with command_client(load_settings(redis_url=f"unix://{tmp_path}/nowhere.sock")) as away:
        await ConsumerLag(pool, away).run_once()
    assert metric("maintenance_redis_failures_total") == before + 1
    assert math.isnan(metric("consumer_lag_positions", consumer="relay"))
    assert metric("consumer_lag_positions", consumer="notifier") == (await ledger.read.head()).position
