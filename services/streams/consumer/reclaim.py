"""Reclaims entries whose lease ran out."""

import asyncio
import contextlib
import random

import structlog
from redis.exceptions import RedisError

from services.platform.metrics import RECLAIMED
from services.platform.outage_log import REDIS
from services.streams.consumer.held_entries import HeldEntries
from services.streams.consumer.scripts import Scripts

logger = structlog.get_logger()

COUNT_MAX = 100
PAGES_MAX = 10
EVERY_S_MAX = 1.5
_START = b"0-0"


class Reclaimer:
    def __init__(self, scripts: Scripts, held: HeldEntries, lease_s: float) -> None:
        self._scripts = scripts
        self._held = held
        self._every_s = min(lease_s / 4, EVERY_S_MAX)
        self._cursor = _START
        self.now = asyncio.Event()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s * random.uniform(0.5, 1.0)):
                    await self.now.wait()
            self.now.clear()
            try:
                await self.reclaim()
                REDIS.over("reclaim")
            except (RedisError, OSError) as error:
                REDIS.met(error, "reclaim")

    async def reclaim(self) -> None:
        """Reclaim within the handler's room; a long pending list over several calls."""
        for _ in range(PAGES_MAX):
            room = min(self._held.holder.free(), COUNT_MAX)
            if room <= 0:
                return
            claim = self._held.claim
            self._cursor, found = await self._scripts.reclaim(claim, self._cursor, room)
            if found:
                RECLAIMED.labels(claim.group).inc(len(found))
                logger.info("entries_taken_over", consumer=claim.consumer, entries=len(found))
            if claim == self._held.claim:
                self._held.take(found)
            if self._cursor == _START:
                return
