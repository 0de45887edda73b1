"""A workshop: sellers' orders on a real ledger, a sandbox of the outside, and workers when wanted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.platform.settings import Settings, load_settings
from services.sandbox import control, kie, openai
from services.sandbox.app import Clock
from tests.support.outside import Outside, outside
from tests.support.worker_fixture import WorkerFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    """KIE and OpenAI, in seconds instead of minutes."""
    modules = {"/kie": kie.routes, "/openai": openai.routes, "/__sandbox": control.routes}
    async with outside(modules, clock=Clock()) as running:
        running.turn(render_seconds=0.2, small_videos=True, rate_limit=0)
        yield running


@pytest.fixture
def settings(database_url: str, redis_url: str, sandbox: Outside, tmp_path: Path) -> Settings:
    return load_settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        sandbox_url=sandbox.url,
        kie_poll_seconds=0.1,
        retry_base_seconds=0.2,
        lease_seconds=2.0,
    )


@pytest.fixture
async def workshop(
    settings: Settings,
    pool: "Pool",
    ledger: Ledger,
    redis: Redis,
    sandbox: Outside,
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> AsyncIterator[WorkerFixture]:
    workshop = WorkerFixture(settings, pool, ledger, redis, sandbox, owner)
    yield workshop
    await workshop.close()
