"""Wake-up hints between processes, by Redis publish/subscribe.

Fire and forget: a lost hint costs seconds, since all processes also poll. News of a job (a callback, a task
found) goes to its worker by `wake_jobs`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.platform.outage_log import REDIS
from services.platform.redis_keys import WAKE_CHANNEL

RECLAIM: Final = b"reclaim"
_JOB: Final = b"job:"
_BETWEEN: Final = "\n"
SEND_S_MAX: Final = 1.0
WAITING_MAX: Final = 1000
IDLE_S: Final = 60.0


async def wake_jobs(redis: Redis, jobs: Iterable[str]) -> None:
    """Have the jobs' workers look at them now. Never raises."""
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
                REDIS.over("wake")
                while True:
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=3.0)
                    data = message["data"] if message else b""
                    if data == RECLAIM:
                        on_reclaim()
                    elif data.startswith(_JOB):
                        for job in data.removeprefix(_JOB).decode("utf-8", "replace").split(_BETWEEN):
                            on_job(job)
        except (RedisError, OSError) as error:
            REDIS.met(error, "wake")
            await asyncio.sleep(1.0)


async def _publish(redis: Redis, message: bytes) -> None:
    try:
        await redis.publish(WAKE_CHANNEL, message)
        REDIS.over("hints")
    except (RedisError, OSError) as error:
        REDIS.met(error, "hints")


class Waker:
    """Hints to other processes, sent by `repeat(waker.send, …, wake=waker.wake)`; none without Redis."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._jobs: set[str] = set()
        self.wake = asyncio.Event()
        """Set when there are hints to send."""

    def hint(self, job: str) -> None:
        """Have the job's worker look at it soon. Never waits, never raises."""
        if len(self._jobs) < WAITING_MAX:
            self._jobs.add(job)
            self.wake.set()

    async def send(self) -> int:
        """Send together what waits; 0, as `repeat` wants it."""
        jobs, self._jobs = self._jobs, set()
        if jobs and self._redis is not None:
            with contextlib.suppress(TimeoutError):  # a hint that comes late is worth nothing
                async with asyncio.timeout(SEND_S_MAX):
                    await wake_jobs(self._redis, jobs)
        return 0
