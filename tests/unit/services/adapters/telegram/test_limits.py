"""The pace towards Telegram: shared through Redis, and each process for itself without it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import SendMessage
from redis.asyncio import Redis

from services.adapters.telegram.client import is_transient
from services.adapters.telegram.limits import PATIENCE_S, RateLimit, Rates, Slot, TelegramLimits, rates_for
from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.support.bot_session import recorded_bot

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


class Limits:
    """Notes who asks; gives a slot now, or none."""

    def __init__(self, slot: Slot | None = None) -> None:
        self.slot = slot or Slot(True, 0)
        self.taken: list[int] = []
        self.paused: list[tuple[int, float]] = []

    async def take(self, chat_id: int, *, wait_s_max: float, urgent: bool = True) -> Slot:
        assert urgent
        self.taken.append(chat_id)
        return self.slot

    async def pause(self, chat_id: int, wait_s: float) -> None:
        self.paused.append((chat_id, wait_s))


def limited(limits: Any, **options: Any) -> tuple[Any, Any]:
    bot, session = recorded_bot(**options)
    session.middleware(RateLimit(limits))
    return bot, session


async def test_what_writes_into_a_chat_takes_a_slot_and_nothing_else_does() -> None:
    limits = Limits()
    bot, session = limited(limits)
    await bot.send_message(1, "x")
    await bot.edit_message_text("x", chat_id=2, message_id=1)
    await bot.edit_message_reply_markup(chat_id=3, message_id=1)
    await bot.send_invoice(4, "t", "d", "p", "XTR", [])
    await bot.answer_callback_query("q")
    await bot.answer_pre_checkout_query("q", ok=True)
    await bot.get_file("f")
    assert limits.taken == [1, 2, 3, 4] and len(session.calls) == 7


async def test_a_refusal_pauses_the_chat_for_everybody_and_is_obeyed() -> None:
    limits = Limits()
    bot, session = limited(limits)
    call = SendMessage(chat_id=5, text="x")
    session.answers.append(TelegramRetryAfter(method=call, message="Too Many Requests", retry_after=0))
    await bot.send_message(5, "x")
    assert limits.paused == [(5, 0)] and limits.taken == [5, 5] and len(session.calls) == 2


async def test_a_slot_that_is_far_away_is_trouble_that_passes() -> None:
    bot, session = limited(Limits(Slot(False, PATIENCE_S + 1)))
    with pytest.raises(TelegramRetryAfter) as raised:
        await bot.send_message(5, "x")
    assert is_transient(raised.value) and session.calls == []


def test_the_real_one_has_telegrams_rates() -> None:
    assert rates_for(load_settings(bot_token="123456789:" + "A" * 35)) == Rates()
    assert rates_for(load_settings(telegram_api_url="http://127.0.0.1:1")) == Rates()
    assert rates_for(load_settings()).chat_per_s > Rates().chat_per_s
