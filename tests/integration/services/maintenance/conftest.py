"""Monitors in the test's own process, and orders whose time is up."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.platform.blobs import FolderBlobs
from services.platform.database import create_pool
from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.support.order_fixture import OrderFixture, PlacedOrder

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["Pool"]:
    async with await create_pool(load_settings(database_url=database_url), "test") as pool:
        yield pool


@pytest.fixture
async def ledger(database_url: str, pool: "Pool") -> AsyncIterator[Ledger]:
    async with Ledger(database_url, pool) as ledger:
        yield ledger


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with command_client(load_settings(redis_url=redis_url)) as client:
        yield client


@pytest.fixture
def studio(ledger: Ledger, pool: "Pool", tmp_path: Path) -> OrderFixture:
    return OrderFixture(ledger, pool, FolderBlobs(tmp_path))


async def overdue(
    studio: OrderFixture, jobs: int = 1, *, submitted: bool = False, credits: int = 100
) -> PlacedOrder:
    """An order past its deadline."""
    seller = await studio.seller(credits=credits)
    deadline_s = 10 if submitted else 1  # time enough to come to the submissions
    order = await studio.order(seller, jobs, deadline_s=deadline_s)
    over_s = time.monotonic() + deadline_s

    async def submit(job: str) -> None:
        await studio.start(job)
        await studio.submit(job, task=f"task-{job}")

    if submitted:
        await asyncio.gather(*map(submit, order.jobs))
    await asyncio.sleep(
        over_s + 0.01 - time.monotonic()
    )  # the deadline is a time by nature, in whole seconds
    return order


async def count(pool: "Pool", type_name: str) -> int:
    """How many events of a type there are."""
    found = await pool.fetchval("SELECT count(*) FROM events WHERE type = $1", type_name)
    assert isinstance(found, int)
    return found


async def recorded_at(pool: "Pool", position: int) -> float:
    """When the event there was recorded, epoch seconds."""
    at_us = await pool.fetchval("SELECT recorded_at_us FROM events WHERE position = $1", position)
    return float(at_us / 1e6)


def metric(name: str, **labels: str) -> float:
    """What this process shows; the name without `neurocards_`."""
    value = REGISTRY.get_sample_value(f"neurocards_{name}", labels)
    assert value is not None, name
    return value
