"""The primary that leads, as Redis remembers it; who still follows an older one is refused."""

from typing import Any

from redis.asyncio import Redis

from ledger.log.primary import Primary
from services.platform.lua import load_script
from services.platform.redis import RedisBreaker, blocking_client
from services.platform.redis_keys import PRIMARY, PRIMARY_REFUSED
from services.platform.settings import Settings

_ANSWER_S = 2.0


class PrimaryMark:
    """Uses a connection of its own for each question."""

    def __init__(self, settings: Settings, who: str) -> None:
        self._settings = settings
        self._who = who
        self._breaker = RedisBreaker("primary", answer_s=_ANSWER_S)
        self._script = load_script(__package__ or "", "publish_primary")

    async def published(self, own: Primary) -> int | None:
        """Publish ours; the timeline that leads. None: Redis does not answer, or there is none."""
        if self._settings.redis_url is None:
            return None
        async with blocking_client(self._settings, block_s=0) as redis:
            script = redis.register_script(self._script)
            keys, arguments = (PRIMARY, PRIMARY_REFUSED), (own.system, own.timeline, self._who)
            return await self._breaker.ask(lambda: script(keys, arguments))


async def refused_lately(redis: Redis) -> bool:
    """Whether a process was refused within ten minutes. Raises RedisError."""
    return bool(await redis.exists(PRIMARY_REFUSED))


async def leads_elsewhere(redis: Redis, own: Primary | None) -> int | None:
    """The later timeline of our cluster that was told; None: ours leads. Raises RedisError."""
    told: Any = await redis.get(PRIMARY)
    system, _, timeline = (told or b"").decode().partition(":")
    if own is None or system != str(own.system) or int(timeline) <= own.timeline:
        return None
    return int(timeline)


async def forget_primary(redis: Redis) -> None:
    """Let the primary that is told next lead. Raises RedisError."""
    await redis.delete(PRIMARY, PRIMARY_REFUSED)
