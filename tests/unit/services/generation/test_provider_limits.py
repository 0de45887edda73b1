"""Turns to create: never too many, fair between users, never with an account that rests."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from services.generation.provider_limits import ProviderLimits, ProviderRates
from tests.support.waiting import eventually

WINDOW_S = 3.0
SLOW = ProviderRates(creations=4, per_s=60.0, in_flight_max=100, forget_s=30.0)


async def test_one_users_fifty_videos_do_not_stand_before_anothers_one(redis: Redis):
    limits = ProviderLimits(redis, ProviderRates(creations=2, per_s=0.2, in_flight_max=100, forget_s=30.0))
    order: list[str] = []

    async def wait_for(ticket: str, user: str) -> None:
        while not (turn := await limits.turn(ticket, user, ("k1",))).account:
            await asyncio.sleep(turn.wait_s)
        order.append(user)

    many = [asyncio.create_task(wait_for(f"m{n}", "many")) for n in range(12)]
    await eventually(lambda: len(order) >= 2)
    await wait_for("o1", "one")
    assert order.index("one") <= 6
    await asyncio.gather(*many)


async def test_who_died_while_waiting_loses_their_place(redis: Redis):
    limits = ProviderLimits(redis, ProviderRates(creations=1, per_s=0.3, forget_s=0.2))
    assert (await limits.turn("a", "u1", ("k1",))).account == "k1"
    assert not (await limits.turn("dead", "u2", ("k1",))).account
    assert not (await limits.turn("alive", "u3", ("k1",))).account

    async def alive() -> bool:
        return bool((await limits.turn("alive", "u3", ("k1",))).account)

    await eventually(alive)


async def test_a_user_has_only_so_many_in_flight_and_keeps_nobody_waiting(redis: Redis):
    limits = ProviderLimits(redis, ProviderRates(in_flight_max=2))
    turns = [await limits.turn(f"j{n}", "u1", ("k1",)) for n in range(3)]
    assert [bool(turn.account) for turn in turns] == [True, True, False]
    assert (await limits.turn("x", "u2", ("k1",))).account == "k1"
    await limits.done("j0", "u1")
    assert (await limits.turn("j2", "u1", ("k1",))).account == "k1"


async def test_an_account_with_trouble_rests_and_is_tried_again(redis: Redis):
    limits, other = (ProviderLimits(redis, ProviderRates(rest_s=200, rest_s_max=200)) for _ in range(2))
    assert await limits.rest("k1") == 200
    assert 100 < await other.rest("k1") <= 200, "the same trouble, met by another job"
    assert {(await other.turn(f"j{n}", "u", ("k1", "k2"))).account for n in range(4)} == {"k2"}
    await limits.rest("k2")
    resting = await other.turn("j9", "u", ("k1", "k2"))
    assert resting.resting and not resting.account and 100 < resting.wait_s <= 200
    await limits.wake("k2")
    assert (await other.turn("j9", "u", ("k1", "k2"))).account == "k2"


async def test_trouble_in_a_row_rests_longer_until_it_works_again(redis: Redis):
    limits = ProviderLimits(redis, ProviderRates(rest_s=0.05, rest_s_max=0.15))
    rests = []
    for _ in range(4):
        rests.append(await limits.rest("k1"))

        async def rested() -> bool:
            return not (await limits.turn("j", "u", ("k1",))).resting

        await eventually(rested)
    assert rests == [0.05, 0.1, 0.15, 0.15]
    await limits.wake("k1")
    assert await limits.rest("k1") == 0.05


async def test_who_learns_of_trouble_from_a_turn_alone_says_that_it_is_over(redis: Redis):
    limits, other = (ProviderLimits(redis, ProviderRates(rest_s=0.05)) for _ in range(2))
    await limits.rest("k1")

    async def turn() -> str:
        return (await other.turn("j", "u", ("k1",))).account

    assert await eventually(turn) == "k1"
    await other.wake("k1")
    assert await limits.rest("k1") == 0.05, "not twice as long: it has worked in between"


async def test_reads_are_spread_over_all_processes(redis: Redis):
    one, other = ProviderLimits(redis), ProviderLimits(redis)
    began_s = time.monotonic()
    waits = [await limits.read_wait_s("k1") for limits in (one, other) * 5]
    took_s = time.monotonic() - began_s
    assert waits[0] == 0 and 9 / 7 - took_s - 0.05 < waits[-1] <= 9 / 7
    assert await other.read_wait_s("k1", urgent=True) == 0
    assert await one.read_wait_s("k2") == 0


@pytest.mark.parametrize("redis_there", [False, True])
async def test_without_redis_each_process_keeps_the_limits_alone(redis_there: bool):
    dead = Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2) if redis_there else None
    limits = ProviderLimits(dead, SLOW)
    turns = [await limits.turn(f"j{n}", "u", ("k1",)) for n in range(5)]
    assert [bool(turn.account) for turn in turns] == [True] * 4 + [False]
    await limits.rest("k1")
    assert (await limits.turn("j", "u", ("k1",))).resting
    await limits.done("j", "u")
    assert [await limits.read_wait_s("k1") > 0 for _ in range(2)] == [False, True]
    if dead is not None:
        await dead.aclose()
