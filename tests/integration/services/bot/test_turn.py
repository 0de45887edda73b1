"""One bot at a time handles updates; the next takes over when it dies or loses its connection."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.bot.inbox import LeaderLock
from services.platform.database import create_pool
from services.platform.settings import Settings
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


async def test_what_the_work_raises_comes_through(settings: Settings) -> None:
    async def fail(over: asyncio.Event) -> None:
        raise ConnectionRefusedError("not the turn's connection")

    with pytest.raises(ConnectionRefusedError):
        await LeaderLock(settings, "one", 78, asyncio.Event()).run(fail)
