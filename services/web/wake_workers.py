"""Telling whoever has a job in hand that its task has changed, without making the provider wait for it.

Redis is optional here and may be away: a hint is put aside, sent by a task of its own, and dropped when too
many wait or it takes too long. Workers also look by themselves; a lost hint costs seconds.
"""

import asyncio
from typing import Final

from redis.asyncio import Redis

from services.platform.periodic import end_tasks, obey_cancellation
from services.streams.wake import wake_job

SEND_S_MAX: Final = 1.0
WAITING_MAX: Final = 1000


class Waker:
    """`hint` from anywhere; `run` sends."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._waiting: asyncio.Queue[str] = asyncio.Queue(maxsize=WAITING_MAX)

    def hint(self, job: str) -> None:
        """Have the job looked at soon. Never waits, never raises."""
        if self._redis is not None and not self._waiting.full():
            self._waiting.put_nowait(job)

    async def run(self, stop: asyncio.Event) -> None:
        """Send the hints until `stop`; those that wait then are dropped."""
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
