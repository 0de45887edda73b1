"""The pace towards Telegram: shared through Redis, and each process for itself without it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.adapters.telegram.limits import Rates, TelegramLimits
from services.platform.redis import command_client
from services.platform.settings import load_settings

RATES = Rates(all_per_s=0.2, all_burst=3, chat_per_s=0.05, chat_burst=2)
"""So slow that a busy machine does not see another slot come free meanwhile."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives up on a slow Redis counts alone."""
    monkeypatch.setattr("services.adapters.telegram.limits._ANSWER_S", 30)


@pytest.fixture
async def nowhere() -> AsyncIterator[Redis]:
    async with command_client(load_settings(redis_url="redis://127.0.0.1:9/0")) as redis:
        yield redis


@pytest.fixture(params=["shared", "own", "fallen-back"])
def limits(request: pytest.FixtureRequest, redis: Redis, nowhere: Redis) -> TelegramLimits:
    return TelegramLimits({"shared": redis, "own": None, "fallen-back": nowhere}[request.param], RATES)


async def test_a_burst_then_the_rate(limits: TelegramLimits) -> None:
    first, second, third = [await limits.take(1, wait_s_max=0) for _ in range(3)]
    assert first.taken and second.taken and not third.taken
    assert 0 < third.wait_s <= 20
    waiting = await limits.take(1, wait_s_max=60)
    assert waiting.taken and 0 < waiting.wait_s <= 20
    assert (await limits.take(2, wait_s_max=10)).taken  # another chat


async def test_all_chats_together(limits: TelegramLimits) -> None:
    slots = [await limits.take(chat, wait_s_max=0) for chat in range(5)]
    assert [slot.taken for slot in slots][:3] == [True, True, True]
    assert not slots[4].taken and slots[4].wait_s <= 10


async def test_a_refused_slot_takes_nothing(limits: TelegramLimits) -> None:
    for _ in range(2):
        await limits.take(1, wait_s_max=0)
    for _ in range(5):
        assert not (await limits.take(1, wait_s_max=0)).taken  # the chat's is empty: everyone's is left alone
    assert (await limits.take(2, wait_s_max=0)).taken


async def test_what_is_not_urgent_leaves_the_burst(limits: TelegramLimits) -> None:
    assert (await limits.take(1, wait_s_max=0, urgent=False)).taken
    assert not (await limits.take(2, wait_s_max=0, urgent=False)).taken
    assert (await limits.take(2, wait_s_max=0)).taken


async def test_a_pause_is_everyones(redis: Redis) -> None:
    one, other = TelegramLimits(redis, RATES), TelegramLimits(redis, RATES)
    await one.pause(1, 300)
    slot = await other.take(1, wait_s_max=3)
    assert not slot.taken and 200 < slot.wait_s <= 300
    assert (await other.take(2, wait_s_max=0)).taken


async def test_processes_share_one_count(redis: Redis) -> None:
    both = [TelegramLimits(redis, RATES), TelegramLimits(redis, RATES)]
    slots = await asyncio.gather(*(limits.take(1, wait_s_max=0) for limits in both * 3))
    assert sum(slot.taken for slot in slots) == 2


async def test_its_keys_go_away_by_themselves(redis: Redis) -> None:
    await TelegramLimits(redis, RATES).take(1, wait_s_max=0)
    for key in await redis.keys("*"):
        assert isinstance(key, bytes) and key.startswith(b"{neurocards}:")
        assert 0 < await redis.pttl(key) < 100_000


async def test_a_redis_that_is_away_costs_no_time_after_the_first_try(nowhere: Redis) -> None:
    limits = TelegramLimits(nowhere, Rates(all_per_s=1e6, all_burst=100, chat_per_s=1e6, chat_burst=100))
    async with asyncio.timeout(60):
        for _ in range(50):
            assert (await limits.take(1, wait_s_max=0)).taken
