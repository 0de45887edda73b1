"""One bot at a time fetches updates; the next takes over when it dies or loses its connection."""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import GetMe

from services.adapters.telegram.updates import STORED_CHANNEL, store_updates
from services.bot.inbox import Fence, LeaderLock
from services.platform.database import create_pool
from services.platform.settings import Settings
from tests.integration.services.bot.inboxes import update
from tests.support.waiting import eventually


async def test_one_process_at_a_time_has_the_turn(settings: Settings) -> None:
    holders: list[str] = []
    stops = {name: asyncio.Event() for name in "ab"}

    def work(name: str) -> Callable[[asyncio.Event], Awaitable[None]]:
        async def hold(over: asyncio.Event) -> None:
            holders.append(name)
            await over.wait()
            holders.append(name + "!")

        return hold

    first = asyncio.create_task(LeaderLock(settings, "one", 77, stops["a"]).run(work("a")))
    await eventually(lambda: holders == ["a"])
    second = asyncio.create_task(LeaderLock(settings, "two", 77, stops["b"]).run(work("b")))
    async with await create_pool(settings, "killer") as killer:

        async def lost() -> bool:
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'neurocards-one-turn' AND datname = current_database()"
            )
            return "a!" in holders  # the second may begin before the first has noticed

        await eventually(lost, interval_s=0.5, what="the first notices that it lost the turn")
    await eventually(
        lambda: len(holders) - holders.index("a!") + holders.count("b") >= 2, what="someone has it again"
    )
    for stop in stops.values():
        stop.set()
    await asyncio.gather(first, second)


async def test_a_frozen_holder_loses_its_turn_and_sees_it_before_it_acts(settings: Settings) -> None:
    """Frozen: its whole loop, in a thread of its own, whose first look after the thaw is held here."""
    frozen, thaw, stop = threading.Event(), threading.Event(), asyncio.Event()
    looks: list[tuple[bool, bool, str]] = []

    async def freeze(lock: LeaderLock, over: asyncio.Event) -> None:
        method, bot = GetMe(), Bot("1:x")
        before = over.is_set()
        frozen.set()
        thaw.wait()
        try:
            await Fence()(AsyncMock(), bot, method)
        except TelegramNetworkError as error:
            looks.append((before, over.is_set(), error.message))
        raise EOFError

    async def first() -> None:
        lock = LeaderLock(settings, "frozen", 79, asyncio.Event(), lease_s=1.0)
        await lock.run(partial(freeze, lock))

    def run_first() -> None:
        with pytest.raises(EOFError):
            asyncio.run(first())

    thread = threading.Thread(target=run_first)
    thread.start()
    await eventually(frozen.is_set)
    has_it = asyncio.Event()

    async def hold(over: asyncio.Event) -> None:
        has_it.set()
        await over.wait()

    second = asyncio.create_task(LeaderLock(settings, "standby", 79, stop, lease_s=1.0).run(hold))
    try:
        await eventually(has_it.is_set, what="the standby to take over while the first is frozen")
    finally:
        thaw.set()
        await asyncio.to_thread(thread.join)
        stop.set()
        await second
    assert looks == [(False, True, "another process does this now")]


async def test_every_process_hears_that_updates_were_stored(settings: Settings, pool: Any) -> None:
    """With the turn and without it; each lane by its name."""
    heard: dict[str, set[str]] = {"one": set(), "two": set()}
    stop = asyncio.Event()

    async def hold(over: asyncio.Event) -> None:
        await over.wait()

    locks = [
        LeaderLock(settings, name, 80, stop, channel=STORED_CHANNEL, hear=words.add)
        for name, words in heard.items()
    ]
    running = [asyncio.create_task(lock.run(hold)) for lock in locks]
    numbers = itertools.count(1)

    async def all_heard() -> bool:
        """Stored again and again: who began to listen later has not heard the first."""
        paid = {"update_id": next(numbers), "pre_checkout_query": {"id": "1", "from": {"id": 5}}}
        await store_updates(pool, [update(next(numbers)), paid])
        return all(words == {"urgent", "ordinary"} for words in heard.values())

    await eventually(all_heard)
    assert sum(lock.mine for lock in locks) == 1
    stop.set()
    await asyncio.gather(*running)


async def test_what_the_work_raises_comes_through(settings: Settings) -> None:
    async def fail(over: asyncio.Event) -> None:
        raise ConnectionRefusedError("not the turn's connection")

    with pytest.raises(ConnectionRefusedError):
        await LeaderLock(settings, "one", 78, asyncio.Event()).run(fail)
