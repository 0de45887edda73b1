"""How far every consumer is behind the log: also those whose own process is dead."""

import asyncio
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import LAG, REDIS_FAILURES, UNAPPLIED_AT
from services.platform.periodic import obey_cancellation
from services.platform.redis_keys import JOBS, LEDGER
from services.streams.entries import GENERATION, position_of

query = load_queries("services.maintenance")

logger = structlog.get_logger()

RELAY = "relay"
ANSWER_S = 4.0
"""A frozen Redis, as redis-py tries again and again, keeps one waiting for minutes."""


class Lags:
    """`run_once` every few seconds.

    While Redis is away no position in it is known, but what was published last was: nothing since.
    """

    def __init__(self, pool: Pool, redis: Redis | None) -> None:
        self._pool = pool
        self._redis = redis
        self._published: int | None = None

    async def run_once(self) -> int:
        """Read the positions and set the gauges. Raises what asyncpg raises."""
        head = 0
        for name, position, head, unapplied_at_s in await self._pool.fetch(query("lags")):
            LAG.labels(name).set(max(head - position, 0))
            UNAPPLIED_AT.labels(name).set(unapplied_at_s or 0)
        if self._redis is not None:
            await self._in_redis(self._redis, head)
            await self._unpublished()
        return 0

    async def _unpublished(self) -> None:
        if self._published is None:
            UNAPPLIED_AT.labels(RELAY).set(float("nan"))
            return
        recorded_at_s = await self._pool.fetchval(query("recorded_at"), self._published + 1)
        UNAPPLIED_AT.labels(RELAY).set(recorded_at_s or 0)

    async def _in_redis(self, redis: Redis, head: int) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                published, queued, delivered = await _positions(redis)
        except (RedisError, OSError, TimeoutError) as error:
            obey_cancellation()
            REDIS_FAILURES.inc()
            logger.warning("lags_not_read", error=repr(error))
            for consumer in (RELAY, GENERATION):
                LAG.labels(consumer).set(float("nan"))
            return
        self._published = published
        LAG.labels(RELAY).set(max(head - published, 0))
        LAG.labels(GENERATION).set(max(queued - delivered, 0))


async def _positions(redis: Redis) -> tuple[int, int, int]:
    """Of the last event published, of the newest entry of `jobs`, and of the last one given to a worker."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xinfo_stream(LEDGER)
        pipe.xinfo_stream(JOBS)
        pipe.xinfo_groups(JOBS)
        ledger, jobs, groups = await pipe.execute(raise_on_error=False)
    delivered = next(
        (group["last-delivered-id"] for group in _found(groups, []) if group["name"] == GENERATION.encode()),
        b"0-0",
    )
    return (
        position_of(_found(ledger, {}).get("last-generated-id", b"0-0")) or 0,
        position_of(_found(jobs, {}).get("last-generated-id", b"0-0")) or 0,
        position_of(delivered) or 0,
    )


def _found(reply: Any, nothing: Any) -> Any:
    """The reply; `nothing` for a stream that is missing (the server says so as an error)."""
    return nothing if isinstance(reply, Exception) else reply
