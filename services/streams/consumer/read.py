"""Read new entries, and find our pending ones again."""

import asyncio
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services.platform.backoff import backoff_s
from services.platform.outage_log import REDIS
from services.streams.consumer.held_entries import Fields, HeldEntries

logger = structlog.get_logger()

BLOCK_S = 2.0


async def make_group(redis: Redis, stream: str, group: str) -> None:
    """Create the group at the stream's beginning, so that nothing is missed."""
    try:
        await redis.xgroup_create(stream, group, id="0", mkstream=True)
        logger.info("group_made", stream=stream, group=group)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


class Reader:
    def __init__(self, redis: Redis, blocking: Redis, held: HeldEntries) -> None:
        self._redis = redis
        self._blocking = blocking
        self._held = held

    async def run(self) -> None:
        """Read for ever, only within the handler's room: what is read ahead ages."""
        failures = 0
        while True:
            await self._held.holder.wait_free()
            try:
                if self._held.own_first:
                    await self._read_own()
                if self._held.holder.free() > 0:
                    await self._read(">", block_ms=int(BLOCK_S * 1000))
                failures = 0
                REDIS.over("read")
            except (RedisError, OSError) as error:
                # An abandoned blocked read may have made entries ours without telling us.
                self._held.own_first = True
                failures += 1
                await self._recover(error, failures)

    async def _read_own(self) -> None:
        last = "0"
        while self._held.holder.free() > 0:
            found = await self._read(last)
            if not found:
                self._held.own_first = False
                return
            last = found[-1]

    async def _read(self, after: str, block_ms: int | None = None) -> list[str]:
        claim = self._held.claim
        reply: Any = await self._blocking.xreadgroup(
            claim.group,
            claim.consumer,
            {claim.stream: after},
            count=self._held.holder.free(),
            block=block_ms,
        )
        entries = cast("list[tuple[bytes, Fields | None]]", [e for _, found in reply or () for e in found])
        if claim == self._held.claim:  # else the seat was lost meanwhile, and others will get these
            self._held.take(entries)
        return [entry[0].decode() for entry in entries]

    async def _recover(self, error: Exception, failures: int) -> None:
        REDIS.met(error, "read")
        await asyncio.sleep(backoff_s(failures, 0.1, 5.0))
        if isinstance(error, ResponseError):  # NOGROUP after a wipe, UNBLOCKED while it is made anew
            try:
                await make_group(self._redis, self._held.claim.stream, self._held.claim.group)
            except (RedisError, OSError) as failed:
                REDIS.met(failed, "read")
