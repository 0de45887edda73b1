"""Reclaims entries whose lease ran out, and removes consumers that died."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.platform.metrics import RECLAIMED
from services.streams.consumer.held_entries import HeldEntries
from services.streams.consumer.scripts import Scripts

logger = structlog.get_logger()

COUNT_MAX = 100
PAGES_MAX = 10
EVERY_S_MAX = 1.5
DEAD_AFTER_LEASES = 20
_START = b"0-0"


class Reclaimer:
    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        held: HeldEntries,
        lease_s: float,
        seat_of: Callable[[str], str],
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._held = held
        self._lease_s = lease_s
        self._seat_of = seat_of
        self._cursor = _START
        self.now = asyncio.Event()

    async def run(self) -> None:
        rounds = 0
        every_s = min(self._lease_s / 4, EVERY_S_MAX)
        while True:
            try:
                async with asyncio.timeout(every_s * random.uniform(0.5, 1.0)):
                    await self.now.wait()
            except TimeoutError:
                rounds += 1
            self.now.clear()
            try:
                await self.reclaim()
                if rounds % 100 == 1:
                    await self.remove_dead()
            except (RedisError, OSError) as error:
                logger.warning("reclaim_failed", error=repr(error))

    async def reclaim(self) -> None:
        """Reclaim within the handler's room; a long pending list over several calls."""
        for _ in range(PAGES_MAX):
            room = min(self._held.holder.free(), COUNT_MAX)
            if room <= 0:
                return
            claim = self._held.claim
            reclaimed = await self._scripts.reclaim(claim, self._cursor, room)
            self._cursor = reclaimed.cursor
            found = [*reclaimed.entries, *((entry, None) for entry in reclaimed.vanished)]
            if found:
                RECLAIMED.labels(claim.group).inc(len(found))
                logger.info("entries_taken_over", consumer=claim.consumer, entries=len(found))
            if claim == self._held.claim:
                self._held.take(found)
            if self._cursor == _START:
                return

    async def remove_dead(self) -> None:
        """Remove consumers without seat and entries, silent for many leases."""
        claim = self._held.claim
        found: Any = await self._redis.xinfo_consumers(claim.stream, claim.group)
        names = [info["name"].decode() for info in found]
        dead = [(name, self._seat_of(name)) for name in names if name != claim.consumer]
        idle_ms = int(self._lease_s * 1000 * DEAD_AFTER_LEASES)
        if dead and (removed := await self._scripts.remove_dead(claim, idle_ms, dead)):
            logger.info("consumers_removed", consumers=removed)
