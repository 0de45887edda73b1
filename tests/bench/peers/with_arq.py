"""arq (https://arq-docs.helpmanual.io): 100 jobs at once, looks every 10 ms (not 500), keeps no results."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.constants import default_queue_name
from arq.worker import Worker

from tests.bench.peers import job_queue


async def nothing(ctx: dict[str, Any]) -> None:
    return


async def note(ctx: dict[str, Any], asked_s: float) -> None:
    job_queue.note(asked_s)


class ArqQueue:
    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def enqueue(self) -> None:
        await self._redis.enqueue_job("nothing")

    async def enqueue_noted(self, asked_s: float) -> None:
        await self._redis.enqueue_job("note", asked_s)

    async def left(self) -> int:
        return int(await self._redis.zcard(default_queue_name))  # a job stays in it until it is finished


def _settings(servers: job_queue.Servers) -> RedisSettings:
    url = urlsplit(servers.redis)
    if url.scheme == "unix":
        return RedisSettings(unix_socket_path=unquote(url.path))
    return RedisSettings.from_dsn(servers.redis)


@asynccontextmanager
async def connect(servers: job_queue.Servers) -> AsyncIterator[ArqQueue]:
    redis = await create_pool(_settings(servers))
    try:
        yield ArqQueue(redis)
    finally:
        await redis.aclose()


def work(servers: job_queue.Servers) -> None:
    Worker(
        [nothing, note], redis_settings=_settings(servers), max_jobs=100, poll_delay=0.01, keep_result=0
    ).run()
