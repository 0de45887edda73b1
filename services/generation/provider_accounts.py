"""How our accounts with the provider stand, for whoever looks from outside: kept in Redis beside the limiter.

Maintenance, which reads the balances, notes them here; the limiter's own keys tell the rest. All of it is a
hint for people: it is gone after a wipe, and back with the next round.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from redis.asyncio import Redis

from services.platform.redis_keys import KIE_BALANCES, KIE_RESTING, KIE_WAITING, kie_made

_FORGET_S = 3600
"""A balance nobody could read for so long is not shown: its key has probably been taken away."""


class ProviderAccount(msgspec.Struct, frozen=True):
    """One account: its balance as it was `read_s` ago, its rest that is left, its creations in the window."""

    account: str
    credits: float | None
    read_s: float | None
    rests_s: float
    creations: int


async def note_balances(redis: Redis, balances: Mapping[str, Decimal]) -> None:
    """Note what was just read. Raises RedisError."""
    if not balances:
        return
    now_s, _ = await redis.time()
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(KIE_BALANCES, mapping={account: f"{value} {now_s}" for account, value in balances.items()})
        pipe.expire(KIE_BALANCES, _FORGET_S)
        await pipe.execute()


async def look(redis: Redis, window_s: float) -> tuple[list[ProviderAccount], int]:
    """Every account that is known here, and how many submissions wait for a turn. Raises RedisError."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(KIE_BALANCES)
        pipe.hgetall(KIE_RESTING)
        pipe.zcard(KIE_WAITING)
        (seconds, micros), raw_balances, raw_rests, waiting = await pipe.execute()
    now_s = seconds + micros / 1e6
    until_ms = {name.decode(): int(value) for name, value in raw_rests.items() if b":" not in name}
    rests = {name: value / 1000 - now_s for name, value in until_ms.items()}
    balances = {name.decode(): _balance(value, now_s) for name, value in raw_balances.items()}
    fresh = {name: found for name, found in balances.items() if found[1] < _FORGET_S}
    names = sorted({*fresh, *(name for name, left_s in rests.items() if left_s > 0)})
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zcount(kie_made(name), (now_s - window_s) * 1000, "+inf")
        made = await pipe.execute() if names else []
    found = []
    for name, count in zip(names, made, strict=True):
        credits, read_s = fresh.get(name, (None, None))
        found.append(ProviderAccount(name, credits, read_s, max(rests.get(name, 0.0), 0.0), count))
    return found, waiting


def _balance(value: bytes, now_s: float) -> tuple[float, float]:
    """Credits, and seconds since they were read."""
    credits, read_at_s = value.split()
    return float(credits), max(now_s - int(read_at_s), 0.0)
