"""A ledger, a pool and Redis clients on databases of the test's own."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import asyncpg
import pytest
import structlog
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.platform.database import create_pool
from services.platform.redis import command_client
from services.platform.settings import Settings, load_settings
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record]


@pytest.fixture(autouse=True, scope="package")
def plain_tracebacks() -> Iterator[None]:
    """Drawing one with all locals takes seconds, and holds up everything in this process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        cache_logger_on_first_use=False,
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return load_settings(database_url=database_url, redis_url=redis_url)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator["Pool"]:
    """A pool with the application's rights, as the services have it."""
    async with await create_pool(settings, "test") as pool:
        yield pool


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["Connection"]:
    """A connection with the owner's rights."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(database_url: str, pool: "Pool") -> AsyncIterator[Ledger]:
    async with Ledger(database_url, pool) as ledger:
        yield ledger


@pytest.fixture
async def traffic(ledger: Ledger) -> Traffic:
    return Traffic(ledger)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    async with command_client(settings) as client:
        yield client
