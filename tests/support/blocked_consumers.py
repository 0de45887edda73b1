"""Consumers of one stream that do nothing with what they get, to be frozen, stopped and watched."""

import asyncio
import contextlib
from typing import Any

from redis.asyncio import Redis

from services.platform.redis import blocking_client, command_client
from services.platform.settings import Settings
from services.streams.consumer.consumer import Consumer
from services.streams.consumer.held_entries import Fields
from tests.support.waiting import eventually

STREAM = "{neurocards}:test"
GROUP = "testers"
LEASE_S = 2.0
"""Short, because tests wait for its end; longer than a busy machine keeps a process waiting."""


class IdleHandler:
    """A holder that does nothing with what it is given."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.taken: list[str] = []
        self.fields: dict[str, Fields] = {}
        self.lost_entries: list[str] = []
        self.room = asyncio.Event()
        self.room.set()

    def free(self) -> int:
        return max(0, self.slots - len(self.taken))

    async def wait_free(self) -> None:
        await self.room.wait()

    def take(self, entry: str, fields: Fields) -> bool:
        self.taken.append(entry)
        self.fields[entry] = fields
        if not self.free():
            self.room.clear()
        return True

    def lost(self, entry: str) -> None:
        self.lost_entries.append(entry)


class RunningConsumer:
    """A consumer at work, and its bench."""

    def __init__(self, settings: Settings, *, slots: int, lease_s: float) -> None:
        self.bench = IdleHandler(slots)
        self.redis, self.blocking = command_client(settings), blocking_client(settings, 2)
        self.consumer = Consumer(
            self.redis, self.blocking, self.bench, stream=STREAM, group=GROUP, lease_s=lease_s
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *parts: str) -> "RunningConsumer":
        await self.consumer.start()
        for part in parts or ("read", "reclaim", "keep"):
            self.tasks.append(asyncio.create_task(getattr(self.consumer, part)()))
        return self

    async def halt(self) -> None:
        """Stop without a word."""
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=0.1)
        await self.redis.aclose()
        await self.blocking.aclose()

    async def has(self, *entries: str) -> None:
        await eventually(lambda: set(entries) <= set(self.bench.taken), what=f"{entries} taken")


class BlockedConsumers:
    """Makes consumers on one stream."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self.redis = redis
        self.made: list[RunningConsumer] = []

    def new(self, *, slots: int = 10, lease_s: float = LEASE_S) -> RunningConsumer:
        self.made.append(RunningConsumer(self._settings, slots=slots, lease_s=lease_s))
        return self.made[-1]

    async def add(self, *numbers: int) -> list[str]:
        for number in numbers:
            fields: dict[Any, Any] = {"n": number}
            await self.redis.xadd(STREAM, fields, id=f"{number}-0")
        return [f"{number}-0" for number in numbers]

    async def owners(self) -> dict[str, str]:
        """Pending entries and whose they are."""
        with contextlib.suppress(Exception):
            rows: Any = await self.redis.xpending_range(STREAM, GROUP, "-", "+", 1000)
            return {row["message_id"].decode(): row["consumer"].decode() for row in rows}
        return {}

    async def empty(self) -> bool:
        """Whether nothing is pending."""
        return not await self.owners()
