"""What the commands about streams share: both servers, and words for a person when one does not answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.platform.database import patient_pool
from services.platform.errors import explain
from services.platform.redis import command_client
from services.platform.settings import Settings
from services.streams.publisher.scripts import Scripts
from services.streams.status import Status, status_without_redis, stream_status

if TYPE_CHECKING:
    from ledger.postgres import Pool


T = TypeVar("T")


class Servers:
    """Redis, and the primary Postgres: beside a replica that is behind, streams would seem to be ahead."""

    def __init__(self, settings: Settings, pool: "Pool", scripts: Scripts) -> None:
        self.settings = settings
        self.pool = pool
        self.scripts = scripts
        self.redis = scripts.redis


@asynccontextmanager
async def open_servers(settings: Settings, command: str) -> AsyncIterator[Servers]:
    """Both servers. Raises StartError when Postgres does not answer."""
    async with await patient_pool(settings, command) as pool, command_client(settings) as redis:
        yield Servers(settings, pool, Scripts(redis, ledger_entries_max=settings.stream_entries_max))


def run_command(command: str, work: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    """Run one command with the settings of here, its logs on stderr."""
    from services.cli.environment import prepare

    settings = prepare(command)
    return uvloop.run(work(settings))


def on_servers(command: str, work: Callable[[Servers], Awaitable[T]]) -> T:
    """Run one command on both servers."""

    async def run(settings: Settings) -> T:
        async with open_servers(settings, command) as servers:
            return await work(servers)

    return run_command(command, run)


async def status_of(redis: Redis, pool: "Pool", lease_s: float) -> Status:
    """The streams' status; what Postgres alone can tell, when Redis does not answer in time."""
    try:
        async with asyncio.timeout(3):
            return await stream_status(redis, pool, lease_s=lease_s)
    except RedisError as error:
        return await status_without_redis(pool, explain(error) or repr(error))
    except TimeoutError:
        return await status_without_redis(pool, "Redis does not answer at REDIS_URL within 3 s")
