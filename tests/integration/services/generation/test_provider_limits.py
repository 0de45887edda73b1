"""Turns to create on a real server; the rules themselves are tested with a fake one, in tests/unit."""

import asyncio
from collections import Counter

from redis.asyncio import Redis

from services.generation.provider_limits import ProviderLimits, ProviderRates

SLOW = ProviderRates(creations=4, per_s=60.0, in_flight_max=100, forget_s=30.0)


async def test_never_more_than_the_window_allows_however_many_processes_ask(redis: Redis):
    processes = [ProviderLimits(redis, SLOW) for _ in range(3)]
    asked = [processes[n % 3].turn(f"job{n}", f"user{n % 5}", ("k1", "k2")) for n in range(45)]
    turns = await asyncio.gather(*asked)
    assert Counter(turn.account for turn in turns if turn.account) == {"k1": 4, "k2": 4}
    waiting = next(turn for turn in turns if not turn.account)
    assert 0 < waiting.wait_s <= 60 and not waiting.resting


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(redis: Redis):
    limits = ProviderLimits(redis, SLOW)
    assert (await limits.turn("j1", "u", ("k1",))).account
    await redis.script_flush()
    turns = await asyncio.gather(*[limits.turn(f"j{n}", "u", ("k1",)) for n in (2, 3, 4, 5)])
    assert sorted(turn.account for turn in turns) == ["", "k1", "k1", "k1"], (
        "none counted twice or not at all"
    )
    await limits.rest("k1")
    assert (await limits.turn("j6", "u", ("k1",))).resting
    await limits.wake("k1")
    assert await limits.read_wait_s("k1") == 0
    await limits.done("j1", "u")
