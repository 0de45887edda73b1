"""Who may hold an entry, and what happens to those that nobody knows of."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from services.platform.settings import Settings, load_settings
from tests.support.blocked_consumers import GROUP, LEASE_S, STREAM, BlockedConsumers
from tests.support.waiting import eventually


@pytest.fixture
async def hall(redis_url: str, redis: Redis) -> AsyncIterator[BlockedConsumers]:
    hall = BlockedConsumers(load_settings(redis_url=redis_url), redis)
    yield hall
    for seated in hall.made:
        await seated.halt()


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return load_settings(redis_url=redis_url)


async def test_it_reads_no_more_than_it_has_room_for(hall: BlockedConsumers) -> None:
    await hall.add(*range(1, 9))
    seated = await hall.new(slots=3).start()
    await seated.has("1-0", "2-0", "3-0")
    assert len(await hall.owners()) == 3
    seated.consumer.done(seated.bench.taken.pop())
    seated.bench.room.set()
    await seated.has("4-0")
    await eventually(lambda: len(seated.bench.taken) == 3)

    async def holds_three() -> bool:
        return len(await hall.owners()) == 3

    await eventually(holds_three)  # what is done is acknowledged a little later
    assert len(seated.bench.taken) == 3


async def test_what_was_there_before_the_group_is_read_too(hall: BlockedConsumers) -> None:
    await hall.add(1, 2)
    seated = await hall.new().start()
    await seated.has("1-0", "2-0")
    assert seated.bench.fields["1-0"] == {b"n": b"1"}


async def test_a_lease_is_renewed_as_long_as_it_is_held(hall: BlockedConsumers) -> None:
    await hall.add(1)
    holder = await hall.new().start()
    await holder.has("1-0")
    other = await hall.new().start("reclaim", "keep")
    await asyncio.sleep(2 * LEASE_S)  # nothing else tells that nothing happens
    assert other.bench.taken == [] and holder.bench.lost_entries == []


async def test_what_is_not_renewed_is_taken_over_and_never_stolen_back(hall: BlockedConsumers) -> None:
    reclaimed = REGISTRY.get_sample_value("neurocards_consumer_reclaimed_total", {"group": GROUP}) or 0
    await hall.add(1)
    frozen = await hall.new().start("read")
    await frozen.has("1-0")
    other = await hall.new().start()
    await other.has("1-0")
    await frozen.consumer.renew()  # it wakes up
    assert frozen.bench.lost_entries == ["1-0"]
    assert await hall.owners() == {"1-0": other.consumer.name}
    assert REGISTRY.get_sample_value("neurocards_consumer_reclaimed_total", {"group": GROUP}) == reclaimed + 1


async def test_only_the_owner_acknowledges(hall: BlockedConsumers) -> None:
    await hall.add(1)
    frozen = await hall.new().start("read")
    await frozen.has("1-0")
    other = await hall.new().start("reclaim", "keep")
    await other.has("1-0")
    frozen.consumer.done("1-0")
    frozen.tasks.append(asyncio.create_task(frozen.consumer.keep()))
    await eventually(lambda: not frozen.consumer._held.done)
    assert await hall.owners() == {"1-0": other.consumer.name}
    other.consumer.done("1-0")
    await eventually(hall.empty)


async def test_given_back_means_claimable_at_once(hall: BlockedConsumers) -> None:
    await hall.add(1, 2)
    giver = await hall.new(lease_s=30).start("read", "keep")
    await giver.has("1-0", "2-0")
    taker = await hall.new(lease_s=30).start("reclaim", "keep")
    giver.consumer.release("1-0")
    await taker.has("1-0")
    assert await hall.owners() == {"1-0": taker.consumer.name, "2-0": giver.consumer.name}


async def test_leaving_gives_back_all_and_frees_the_seat(hall: BlockedConsumers) -> None:
    await hall.add(1, 2, 3)
    giver = await hall.new(lease_s=30).start("read")
    await giver.has("1-0", "2-0", "3-0")
    taker = await hall.new(lease_s=30).start("reclaim")
    giver.consumer.done("3-0")
    await giver.consumer.leave()
    await taker.has("1-0", "2-0")
    assert sorted(taker.bench.taken) == ["1-0", "2-0"]
    assert (await hall.new().start("keep")).consumer.name == giver.consumer.name


async def test_a_restarted_process_finds_what_its_seat_left_behind(hall: BlockedConsumers) -> None:
    """An abandoned blocked read makes entries pending that nobody was told of."""
    first = await hall.new().start("keep")
    await hall.add(1)
    await hall.redis.xreadgroup(GROUP, first.consumer.name, {STREAM: ">"})
    await first.consumer.leave()
    second = await hall.new(lease_s=30).start("read")
    assert second.consumer.name == first.consumer.name
    await second.has("1-0")


async def test_what_a_cut_read_swallowed_is_found_again(
    hall: BlockedConsumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    seated = hall.new(lease_s=30)
    ask = seated.blocking.xreadgroup

    async def answer_lost(*args: Any, **kwargs: Any) -> Any:
        found = await ask(*args, **kwargs)
        if found and args[2][STREAM] == ">":
            monkeypatch.setattr(seated.blocking, "xreadgroup", ask)
            raise RedisConnectionError("cut after the server had answered")
        return found

    monkeypatch.setattr(seated.blocking, "xreadgroup", answer_lost)
    await hall.add(1, 2)
    await seated.start("read")
    await seated.has("1-0", "2-0")


async def test_two_processes_never_share_a_seat(hall: BlockedConsumers) -> None:
    one, two = await hall.new().start("keep"), await hall.new().start("keep")
    assert {one.consumer.name, two.consumer.name} == {"w1", "w2"}


async def test_a_lost_seat_loses_everything_in_hand(hall: BlockedConsumers) -> None:
    await hall.add(1)
    frozen = await hall.new().start("read")
    await frozen.has("1-0")
    await hall.redis.delete("{neurocards}:seat:testers:w1")  # expired while it was frozen
    heir = await hall.new(lease_s=30).start("read", "keep")
    assert heir.consumer.name == "w1"
    await heir.has("1-0")
    await frozen.consumer.renew()
    assert frozen.bench.lost_entries == ["1-0"] and frozen.consumer.name == "w2"
    assert await hall.owners() == {"1-0": "w1"}


async def test_a_wipe_is_survived_with_work_in_hand(hall: BlockedConsumers) -> None:
    await hall.add(1)
    seated = await hall.new().start()
    await seated.has("1-0")
    await hall.redis.flushall()
    await hall.add(2)  # the stream is back before the group is
    await seated.has("2-0")
    assert seated.bench.lost_entries == []
    seated.consumer.done("1-0")
    seated.consumer.done("2-0")
    await eventually(hall.empty)


async def test_a_missing_group_is_made_without_a_hot_loop(
    hall: BlockedConsumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    seated = await hall.new().start("read")
    reads = 0
    ask = seated.blocking.xreadgroup

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal reads
        reads += 1
        return await ask(*args, **kwargs)

    monkeypatch.setattr(seated.blocking, "xreadgroup", counted)
    # A key of another type: the group cannot be made again.
    await hall.redis.delete(STREAM)
    await hall.redis.set(STREAM, "not a stream")
    await asyncio.sleep(1.2)
    assert reads <= 10
    await hall.redis.delete(STREAM)
    await hall.add(1)
    await seated.has("1-0")


async def test_trimmed_entries_come_back_without_fields(hall: BlockedConsumers) -> None:
    await hall.add(1)
    frozen = await hall.new().start("read")
    await frozen.has("1-0")
    await hall.redis.xtrim(STREAM, maxlen=0, approximate=False)
    other = await hall.new().start("reclaim")
    await other.has("1-0")
    assert other.bench.fields["1-0"] == {}
