"""What the commands about streams share: both servers, and words for a person when one does not answer."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import asyncpg
import uvloop
from redis.exceptions import RedisError, ResponseError

from services.shared.database import patient_pool
from services.shared.errors import StartError
from services.shared.publishing.scripts import Scripts
from services.shared.redis_client import command_client
from services.shared.settings import Settings

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

T = TypeVar("T")


class Servers:
    """Redis, and the primary Postgres: beside a replica that is behind, streams would seem to be ahead."""

    def __init__(self, settings: Settings, pool: "Pool", scripts: Scripts) -> None:
        self.settings = settings
        self.pool = pool
        self.scripts = scripts
        self.redis = scripts.redis


def on_servers(command: str, work: Callable[[Servers], Awaitable[T]]) -> T:
    """Run one command on both servers. Raises StartError when one of them does not answer."""
    from services.cli.environment import configure_command_logging, settings_here

    settings = settings_here()
    configure_command_logging(settings, command)

    async def run() -> T:
        async with await patient_pool(settings, command) as pool, command_client(settings) as redis:
            scripts = Scripts(redis, ledger_entries_max=settings.stream_entries_max)
            try:
                return await work(Servers(settings, pool, scripts))
            except RedisError as error:
                raise StartError(redis_trouble(error)) from error
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
                hint = f"the database is older than this program ({error}); run `neurocards migrate`"
                raise StartError(hint) from error
            except asyncpg.PostgresConnectionError as error:
                raise StartError(f"Postgres broke off: {error}; try again") from error

    return uvloop.run(run())


def redis_trouble(error: RedisError) -> str:
    """What is wrong with Redis, without its address, which may hold a password."""
    if isinstance(error, ResponseError):
        return f"Redis refuses: {error}"
    return f"Redis does not answer at REDIS_URL ({type(error).__name__}); is it running?"
