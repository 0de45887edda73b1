"""Relays that run beside a test, and what they should have published."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.platform.database import connect
from services.platform.settings import Settings
from services.relay.relay import Relay
from services.streams.compare import StreamReport, check_streams
from services.streams.pg_listen import LogListener
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

StartRelay = Callable[..., Awaitable["Running"]]


class Running:
    """One relay in a task of its own."""

    def __init__(self, settings: Settings, pool: "Pool", redis: Redis, options: dict[str, Any]) -> None:
        self.stop = asyncio.Event()
        self.listener = LogListener(lambda: connect(settings, "test-listen"))
        self.relay = Relay(pool, redis, self.listener, **{"poll_s": 0.1, "halted_retry_s": 0.1} | options)
        self.tasks = [
            asyncio.create_task(self.listener.run(self.stop)),
            asyncio.create_task(self.relay.run(self.stop)),
        ]

    async def end(self) -> None:
        self.stop.set()
        await asyncio.gather(*self.tasks)


@pytest.fixture
async def start_relay(settings: Settings, pool: "Pool", redis: Redis) -> AsyncIterator[StartRelay]:
    """Starts a relay; `redis` and any option of Relay may be given."""
    running: list[Running] = []

    async def start(redis: Redis = redis, **options: Any) -> Running:
        running.append(Running(settings, pool, redis, options))
        return running[-1]

    yield start
    await asyncio.gather(*(one.end() for one in running))


@pytest.fixture
def published(redis: Redis, pool: "Pool", ledger: Ledger) -> Callable[[], Awaitable[StreamReport]]:
    """Waits until everything is published and returns the comparison of streams and log."""

    async def wait() -> StreamReport:
        async def up_to_date() -> list[StreamReport]:
            report = await check_streams(redis, pool)
            head = await ledger.read.head()
            # An empty stream is behind by all there is.
            return [report] if report.behind == 0 and (report.ledger_entries or not head.position) else []

        return (await eventually(up_to_date, what="everything is published"))[0]

    return wait


async def truncate_log(owner, after: int) -> None:
    """As after a restore to an earlier time. Only the owner can, by switching the guard off."""
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("DELETE FROM events WHERE position > $1", after)
    await owner.execute("DELETE FROM open_jobs WHERE position > $1", after)
    await owner.execute("ALTER TABLE events ENABLE TRIGGER events_append_only")
