"""The pace towards Telegram on a real server; the rules are tested with a fake one, in tests/unit."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.adapters.telegram.limits import Rates, TelegramLimits
from services.platform.redis import command_client
from services.platform.settings import load_settings

RATES = Rates(all_per_s=0.2, all_burst=3, chat_per_s=0.05, chat_burst=2)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with command_client(load_settings(redis_url=redis_url)) as redis:
        yield redis


async def test_processes_share_one_count_and_one_pause(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.adapters.telegram.limits._ANSWER_S", 30)
    both = [TelegramLimits(redis, RATES), TelegramLimits(redis, RATES)]
    slots = await asyncio.gather(*(limits.take(1, wait_s_max=0) for limits in both * 3))
    assert sum(slot.taken for slot in slots) == 2
    for key in await redis.keys("*"):
        assert isinstance(key, bytes) and key.startswith(b"{neurocards}:")
        assert 0 < await redis.pttl(key) < 100_000
    await both[0].pause(2, 300)
    slot = await both[1].take(2, wait_s_max=3)
    assert not slot.taken and 200 < slot.wait_s <= 300
