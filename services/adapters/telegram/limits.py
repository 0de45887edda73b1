"""Rate limits of writing to Telegram, shared by all processes: 25/s, 1/s per chat.

Counted in Redis; while it is away each process counts for itself: a message late by a limit is worse than one
that Telegram refuses with "wait so long", which is obeyed anyway.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType
from redis.asyncio import Redis

from services.platform.lua import load_script
from services.platform.redis import RedisBreaker
from services.platform.redis_keys import TELEGRAM_ALL, telegram_chat
from services.platform.settings import Settings

T = TypeVar("T")

_ANSWER_S = 0.5
_LOCAL_CHATS_MAX = 10_000


class Rates(msgspec.Struct, frozen=True):
    """Token buckets: messages per second, and burst. Telegram publishes about 30 and 1."""

    all_per_s: float = 25
    all_burst: int = 5
    chat_per_s: float = 1
    chat_burst: int = 3


def rates_for(settings: Settings) -> Rates:
    """Telegram's rates, or what is set; its sandbox takes more: its people do not wait like real ones."""
    if told := settings.telegram_messages_per_second:
        return Rates(all_per_s=told)
    if settings.uses_sandbox_for("telegram"):
        return Rates(all_per_s=500, all_burst=50, chat_per_s=50, chat_burst=20)
    return Rates()


class Slot(msgspec.Struct, frozen=True):
    """`taken`: send after `wait_s`. Not taken: nothing was counted, ask again after `wait_s`."""

    taken: bool
    wait_s: float


class TelegramLimits:
    """Rate limiter. Never raises because of Redis."""

    def __init__(self, redis: Redis | None, rates: Rates | None = None) -> None:
        self._rates = rates or Rates()
        self._shared = _RedisBuckets(redis) if redis is not None else None
        self._own = _OwnBuckets()
        self._breaker = RedisBreaker("limits", answer_s=_ANSWER_S)

    async def take(self, chat_id: int, *, wait_s_max: float, urgent: bool = True) -> Slot:
        """Reserve a slot in the chat within `wait_s_max`. What is not urgent leaves bursts to what is."""
        rates = self._rates
        all_burst = rates.all_burst if urgent else 1
        limits = [
            int(1e6 / rates.all_per_s), all_burst, int(1e6 / rates.chat_per_s), rates.chat_burst,
            int(wait_s_max * 1e6),
        ]  # fmt: skip
        answer = await self._ask(lambda shared: shared.take(chat_id, limits))
        taken, wait_us = self._own.take(chat_id, limits) if answer is None else answer
        return Slot(taken, wait_us / 1e6)

    async def pause(self, chat_id: int, wait_s: float) -> None:
        chat = (int(wait_s * 1e6), int(1e6 / self._rates.chat_per_s), self._rates.chat_burst)
        self._own.pause(chat_id, *chat)
        await self._ask(lambda shared: shared.pause(chat_id, *chat))

    async def _ask(self, call: "Callable[[_RedisBuckets], Awaitable[T]]") -> T | None:
        shared = self._shared
        return None if shared is None else await self._breaker.ask(lambda: call(shared))


class _RedisBuckets:
    def __init__(self, redis: Redis) -> None:
        self._take = redis.register_script(load_script(__package__, "limits"))
        self._pause = redis.register_script(load_script(__package__, "pause"))

    async def take(self, chat_id: int, limits: list[int]) -> tuple[bool, int]:
        answer: Any = await self._take(keys=[TELEGRAM_ALL, telegram_chat(chat_id)], args=limits)
        return bool(answer[0]), int(answer[1])

    async def pause(self, chat_id: int, wait_us: int, interval_us: int, burst: int) -> None:
        await self._pause(keys=[telegram_chat(chat_id)], args=[wait_us, interval_us, burst])


class _OwnBuckets:
    def __init__(self) -> None:
        self._full_at_us: dict[int | None, int] = {}

    def take(self, chat_id: int, limits: list[int]) -> tuple[bool, int]:
        now_us = int(time.monotonic() * 1e6)
        if len(self._full_at_us) > _LOCAL_CHATS_MAX:
            self._full_at_us = {key: at for key, at in self._full_at_us.items() if at > now_us}
        all_interval_us, all_burst, chat_interval_us, chat_burst, wait_us_max = limits
        buckets = ((None, all_interval_us, all_burst), (chat_id, chat_interval_us, chat_burst))
        longest_us = 0
        full_at_us: dict[int | None, int] = {}
        for bucket, interval_us, burst in buckets:
            full_us = max(self._full_at_us.get(bucket, 0), now_us)
            longest_us = max(longest_us, full_us - (burst - 1) * interval_us - now_us)
            full_at_us[bucket] = full_us + interval_us
        if longest_us > wait_us_max:
            return False, longest_us
        self._full_at_us |= full_at_us
        return True, longest_us

    def pause(self, chat_id: int, wait_us: int, interval_us: int, burst: int) -> None:
        full_us = int(time.monotonic() * 1e6) + wait_us + (burst - 1) * interval_us
        self._full_at_us[chat_id] = max(self._full_at_us.get(chat_id, 0), full_us)


PATIENCE_S: Final = 30.0


class RateLimit(BaseRequestMiddleware):
    """Waits for a slot before writing to a chat; a flood error pauses all. Beyond PATIENCE_S it raises
    TelegramRetryAfter. Register after `ObeyFlood`: then each attempt takes a slot."""

    def __init__(self, limits: TelegramLimits) -> None:
        self._limits = limits

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[Any]
    ) -> Any:
        chat_id = getattr(method, "chat_id", None)
        if not method.__api_method__.startswith(("send", "edit")) or not isinstance(chat_id, int):
            return await make_request(bot, method)
        slot = await self._limits.take(chat_id, wait_s_max=PATIENCE_S)
        if not slot.taken:
            raise TelegramRetryAfter(method, "our own limit", math.ceil(slot.wait_s))
        await asyncio.sleep(slot.wait_s)
        try:
            return await make_request(bot, method)
        except TelegramRetryAfter as error:
            await self._limits.pause(chat_id, error.retry_after)
            raise
