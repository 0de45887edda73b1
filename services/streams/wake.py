"""Wake-up hints between processes, by Redis publish/subscribe.

Fire and forget: a lost hint costs seconds, since all processes also poll. News of a job (a callback, a task
found) goes to its worker by `wake_job`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.platform.periodic import end_tasks, obey_cancellation
from services.platform.redis_keys import WAKE_CHANNEL

logger = structlog.get_logger()

RECLAIM: Final = b"reclaim"
_JOB: Final = b"job:"
_BETWEEN: Final = "\n"
SEND_S_MAX: Final = 1.0
WAITING_MAX: Final = 1000


async def wake_job(redis: Redis, job: str) -> None:
    """Have the job's worker look at it now. Never raises."""
    await wake_jobs(redis, [job])


async def wake_jobs(redis: Redis, jobs: Iterable[str]) -> None:
    await _publish(redis, _JOB + _BETWEEN.join(jobs).encode())


async def wake_reclaimers(redis: Redis) -> None:
    """Have all workers reclaim entries given back. Never raises."""
    await _publish(redis, RECLAIM)


async def listen(redis: Redis, on_job: Callable[[str], None], on_reclaim: Callable[[], None]) -> None:
    """Call back for every hint, for ever, through lost connections."""
    while True:
        try:
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(WAKE_CHANNEL)
                while True:
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=3.0)
                    data = message["data"] if message else b""
                    if data == RECLAIM:
                        on_reclaim()
                    elif data.startswith(_JOB):
                        for job in data.removeprefix(_JOB).decode("utf-8", "replace").split(_BETWEEN):
                            on_job(job)
        except (RedisError, OSError) as error:
            logger.warning("wake_interrupted", error=repr(error))
            await asyncio.sleep(1.0)


async def _publish(redis: Redis, message: bytes) -> None:
    try:
        await redis.publish(WAKE_CHANNEL, message)
    except (RedisError, OSError) as error:
        logger.warning("wake_not_sent", error=repr(error))


class Waker:
    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._waiting: asyncio.Queue[str] = asyncio.Queue(maxsize=WAITING_MAX)

    def hint(self, job: str) -> None:
        """Queue a hint. Never waits, never raises."""
        if self._redis is not None and not self._waiting.full():
            self._waiting.put_nowait(job)

    async def run(self, stop: asyncio.Event) -> None:
        """Send hints until `stop`; waiting ones are then dropped."""
        sending = asyncio.create_task(self._send_all(), name="hints")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, sending], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()  # it does not end by itself: raises its error
        finally:
            stopping.cancel()
            await end_tasks([sending])

    async def _send_all(self) -> None:
        while True:
            job = await self._waiting.get()
            if self._redis is not None:
                await _send(self._redis, job)
            obey_cancellation()


async def _send(redis: Redis, job: str) -> None:
    try:
        async with asyncio.timeout(SEND_S_MAX):
            await wake_job(redis, job)
    except TimeoutError:
        pass  # a hint that comes late is worth nothing
