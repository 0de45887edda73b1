"""Scenario 6: the relay is killed inside a batch; two relays at once; Redis is flushed between two batches;
the stream is rebuilt under it.

Batches are of five events here, so that a few orders are many batches.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import pytest

from services.streams.publisher import rebuild as rebuilding
from services.streams.publisher.scripts import Scripts
from tests.support.arena.arena import Arena
from tests.support.redis_proxy import Fate, RedisProxy, script_digest

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SMALL: dict[str, Any] = {"ODD_PACE": json.dumps({"services.relay.relay.PAGE_EVENTS": 5})}
PUBLISH = script_digest("services.streams.publisher", "last_id", "publish")
HANGS = [fate for fate in get_args(Fate) if fate.startswith("hang")]


@pytest.fixture
async def proxy(arena: Arena) -> AsyncIterator[RedisProxy]:
    async with RedisProxy(str(arena.valkey.socket_path)) as proxy:
        yield proxy


def nth(number: int, fate: Fate) -> Callable[[bytes], Fate | None]:
    """A fate for the n-th batch."""
    seen = itertools.count(1)
    return lambda data: fate if PUBLISH in data and next(seen) == number else None


async def orders(arena: Arena, jobs: int = 12) -> list[str]:
    placed = [await arena.order(jobs=arena.dice.choice((1, 2, 3))) for _ in range(jobs // 2)]
    return [job for order in placed for job in order.jobs]


@pytest.mark.parametrize("fate", HANGS)
async def test_killed_inside_a_batch(arena: Arena, proxy: RedisProxy, fate: Fate) -> None:
    """Three times in a row: its command is lost on the way, or done and the answer is lost."""
    async with arena.opened(2, without=["relay"]):
        ordering = asyncio.create_task(orders(arena))
        last: list[str] = []
        for number in range(1, 4):
            proxy.struck.clear()
            proxy.choose = nth(arena.dice.randrange(1, 4), fate)
            relay = arena.begin("relay", name=f"relay-{number}", REDIS_URL=proxy.url(0), **SMALL)
            if number == 3:
                last += (await arena.order()).jobs  # there must be something left to be in the middle of
            await asyncio.wait_for(proxy.struck.wait(), 60)
            arena.kill(relay)
        arena.begin("relay", **SMALL)
        await arena.all_made([*await ordering, *last])


async def test_two_at_once(arena: Arena) -> None:
    async with arena.opened(2, without=["relay"]):
        relays = [arena.begin("relay", name=f"relay-{number}", **SMALL) for number in (1, 2)]
        jobs = await orders(arena)
        arena.kill(arena.dice.choice(relays))
        jobs += await orders(arena)
        await arena.all_made(jobs)


async def test_redis_is_flushed_between_two_batches(arena: Arena, proxy: RedisProxy) -> None:
    """At the very moment: after the answer to a batch, before the next one is sent."""
    async with arena.opened(2, without=["relay"]):
        flushing: list[asyncio.Task[object]] = []
        seen = itertools.count(1)
        every = arena.dice.choice((2, 3))

        def choose(data: bytes) -> Fate | None:
            if PUBLISH in data and next(seen) % every == 0 and len(flushing) < 6:
                flushing.append(asyncio.ensure_future(arena.log_watch.redis.flushall()))
            return None

        proxy.choose = choose
        arena.begin("relay", REDIS_URL=proxy.url(0), **SMALL)
        jobs = await orders(arena, 24)
        await arena.all_made(jobs)
        assert len(flushing) >= 3
        await asyncio.gather(*flushing)


async def test_rebuilt_under_a_relay_that_publishes(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rebuilds at once, over and over; some are cut off in the middle, some meet a FLUSHALL."""
    monkeypatch.setattr(rebuilding, "PAGE_EVENTS", 5)
    async with arena.opened(2, without=["relay"]):
        arena.begin("relay", **SMALL)
        ordering = asyncio.create_task(orders(arena, 24))
        done = 0
        while not ordering.done() or done < 5:
            both = [asyncio.create_task(rebuild(arena)) for _ in range(2)]
            await asyncio.sleep(arena.dice.uniform(0, 0.05))
            match arena.dice.choice(("cut", "flush", "let")):
                case "cut":
                    both[0].cancel()
                case "flush":
                    await arena.log_watch.redis.flushall()
            ended = await asyncio.gather(*both, return_exceptions=True)
            assert [e for e in ended if isinstance(e, Exception)] == []
            done += sum(isinstance(one, rebuilding.Rebuilt) for one in ended)
        await arena.all_made(await ordering)


async def rebuild(arena: Arena) -> rebuilding.Rebuilt | None:
    writes = Scripts(arena.log_watch.redis, ledger_entries_max=100_000)
    return await rebuilding.Rebuild(arena.log_watch.pool, writes, entries=100_000, reach_back=10_000).run()
