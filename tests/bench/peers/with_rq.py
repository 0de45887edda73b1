"""RQ (https://python-rq.org): SimpleWorker, which does not fork for each job; results are not kept."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis
import rq

from tests.bench.peers import job_queue


def nothing() -> None:
    return


class RqQueue:
    def __init__(self, connection: redis.Redis) -> None:
        self._queue = rq.Queue(connection=connection)
        self._started = rq.registry.StartedJobRegistry(queue=self._queue)

    async def enqueue(self) -> None:
        self._queue.enqueue(nothing, result_ttl=0)

    async def enqueue_noted(self, asked_s: float) -> None:
        self._queue.enqueue(job_queue.note, asked_s, result_ttl=0)

    async def left(self) -> int:
        return int(self._queue.count + self._started.count)


@asynccontextmanager
async def connect(servers: job_queue.Servers) -> AsyncIterator[RqQueue]:
    with redis.Redis.from_url(servers.redis) as connection:
        yield RqQueue(connection)


def work(servers: job_queue.Servers) -> None:
    logging.getLogger("rq").setLevel(logging.WARNING)
    connection = redis.Redis.from_url(servers.redis)
    rq.SimpleWorker([rq.Queue(connection=connection)], connection=connection).work(logging_level="WARNING")
