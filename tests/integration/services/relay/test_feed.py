"""What in-order consumers read: dense, in the chain, in the log, whatever Redis does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from events.envelope import GENESIS, Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from services.local.valkey import EmbeddedValkey
from services.platform.redis import blocking_client, command_client
from services.platform.redis_keys import LEDGER
from services.platform.settings import load_settings
from services.streams.entries import encode_entry, entry_id
from services.streams.feed import BLOCK_S_MAX, Feed
from tests.integration.services.relay.conftest import truncate_log
from tests.support.history import rehashed
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


@pytest.fixture
async def feed(settings, pool) -> AsyncIterator[Feed]:
    feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=0.2)
    yield feed
    await feed.close()


async def read_to(feed: Feed, cursor: Cursor, position: int, limit: int = 500) -> list[Recorded]:
    """Everything from the cursor to a position, as a consumer reads it."""
    events: list[Recorded] = []
    async with asyncio.timeout(60):
        while cursor.position < position:
            batch = await feed.batch(cursor, limit=limit, wait_s=0.5)
            events += batch
            cursor = batch[-1].cursor if batch else cursor
    return events


async def log_of(ledger: Ledger) -> list[Recorded]:
    return [event async for event in ledger.read.scan()]


def read_from(source: str) -> float:
    return REGISTRY.get_sample_value("neurocards_feed_events_total", {"source": source}) or 0


async def put(redis: Redis, *events: Recorded) -> None:
    for event in events:
        await redis.xadd(LEDGER, {"event": encode_entry(event)}, id=entry_id(event.position))


async def test_with_a_relay_everything_comes_from_the_stream(
    traffic: Traffic, start_relay, published, feed: Feed, ledger
):
    await traffic.play(30)
    await start_relay()
    await published()
    log, from_log = await log_of(ledger), read_from("log")

    assert await read_to(feed, GENESIS, len(log), limit=7) == log
    assert read_from("log") == from_log


async def test_without_a_relay_everything_comes_from_postgres(
    traffic: Traffic, feed: Feed, ledger, monkeypatch: pytest.MonkeyPatch
):
    await traffic.play(30)
    log = await log_of(ledger)
    ask = MagicMock(wraps=feed._redis.xread)
    monkeypatch.setattr(feed._redis, "xread", ask)
    assert await read_to(feed, GENESIS, len(log), limit=7) == log
    blocks = [call.kwargs["block"] for call in ask.call_args_list]
    assert len(blocks) > len(log) // 7 and not any(blocks), "catching up waits for the stream"


async def test_a_new_event_wakes_a_waiting_feed_through_the_stream(
    traffic: Traffic, start_relay, published, settings, pool, ledger
):
    await traffic.play(3)
    await start_relay()
    await published()
    head = await ledger.read.head()
    patient = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=600)
    assert await patient.batch(head, wait_s=0.05) == []  # Postgres was asked, and will not be for ten minutes
    waiting = asyncio.create_task(patient.batch(head, wait_s=600))
    await traffic.play(1)
    events = await asyncio.wait_for(waiting, 60)
    assert events[0].position == head.position + 1
    await patient.close()


@pytest.mark.parametrize("wait_s", [0, 0.3])
async def test_nothing_new_is_told_in_time(traffic: Traffic, feed: Feed, ledger, wait_s: float):
    await traffic.play(3)
    head = await ledger.read.head()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await feed.batch(head, wait_s=wait_s) == []
    assert loop.time() - began >= wait_s - 0.05


async def test_the_limit_holds_from_either_source(traffic: Traffic, start_relay, published, feed: Feed):
    await traffic.play(10)
    assert len(await feed.batch(GENESIS, limit=3)) == 3
    await start_relay()
    await published()
    assert len(await feed.batch(GENESIS, limit=3)) == 3


async def test_a_trimmed_stream_is_filled_from_postgres(
    traffic: Traffic, start_relay, published, feed: Feed, ledger, redis
):
    await traffic.play(40)
    await start_relay()
    await published()
    await redis.xtrim(LEDGER, maxlen=10, approximate=False)
    log = await log_of(ledger)
    assert await read_to(feed, GENESIS, len(log), limit=9) == log


async def test_wipes_and_appends_while_reading(traffic: Traffic, start_relay, feed: Feed, ledger, redis):
    """Never a position twice, never one left out, whatever happens to the stream meanwhile."""
    await traffic.play(5)
    await start_relay(reach_back=5)
    seen: list[Recorded] = []
    done = asyncio.Event()

    async def consume() -> None:
        cursor = GENESIS
        while not done.is_set() or cursor.position < (await ledger.read.head()).position:
            batch = await feed.batch(cursor, limit=20, wait_s=0.1)
            seen.extend(batch)
            cursor = batch[-1].cursor if batch else cursor

    consumer = asyncio.create_task(consume())
    for number in range(40):
        await traffic.play(3)
        if number % 4 == 0:
            await redis.flushdb()
        if number % 4 == 2:
            await redis.xtrim(LEDGER, maxlen=1, approximate=False)
    done.set()
    await asyncio.wait_for(consumer, 60)

    assert seen == await log_of(ledger)


async def test_a_redis_that_dies_and_comes_back(
    traffic: Traffic, database_url, pool, ledger, own_valkey: EmbeddedValkey
):
    settings = load_settings(database_url=database_url, redis_url=own_valkey.url())
    feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=0.1)
    await traffic.play(5)
    first = await log_of(ledger)
    assert await read_to(feed, GENESIS, len(first)) == first

    waiting = asyncio.create_task(read_to(feed, first[-1].cursor, len(first) + 1))
    own_valkey.stop()
    await traffic.play(5)
    assert (await waiting)[0].position == len(first) + 1
    log = await log_of(ledger)
    assert await read_to(feed, GENESIS, len(log)) == log

    own_valkey.start()
    async with command_client(settings) as client:
        await put(client, *log)
    from_stream = read_from("stream")

    async def from_the_stream_again() -> bool:
        assert await read_to(feed, GENESIS, len(log)) == log
        return read_from("stream") > from_stream

    await eventually(from_the_stream_again)
    await feed.close()


async def test_a_stream_with_another_history_is_not_believed(traffic: Traffic, feed: Feed, ledger, redis):
    await traffic.play(10)
    log = await log_of(ledger)
    other = [replace(event, recorded_at_us=event.recorded_at_us + 1) for event in log]
    await put(redis, *rehashed(other))
    assert await read_to(feed, GENESIS, len(log), limit=5) == log


async def test_a_stream_that_runs_ahead_of_the_log_is_not_believed(
    traffic: Traffic, feed: Feed, ledger, redis
):
    """Entries that chain to ours, but which the log has lost: applying them would be applying what is not."""
    await traffic.play(10)
    log = await log_of(ledger)
    head = log[-1].cursor
    more = rehashed([replace(event, version=event.version + 1000) for event in log[:3]], after=head)
    await put(redis, *log, *more)

    assert await read_to(feed, GENESIS, len(log), limit=len(log) + 3) == log
    assert await feed.batch(head, wait_s=0.3) == []


async def test_entries_that_are_no_events(traffic: Traffic, feed: Feed, ledger, redis):
    await traffic.play(10)
    log = await log_of(ledger)
    await redis.xadd(LEDGER, {"what": "ever"}, id="1-0")
    await redis.xadd(LEDGER, {"event": "{}"}, id="2-0")
    assert await read_to(feed, GENESIS, len(log)) == log


async def test_a_cursor_that_the_log_contradicts_is_an_alarm(traffic: Traffic, feed: Feed, ledger, owner):
    await traffic.play(10)
    head = await ledger.read.head()
    with pytest.raises(IntegrityError, match="another hash"):
        await feed.batch(Cursor(head.position, bytes(32)))
    with pytest.raises(IntegrityError, match="is gone"):
        await feed.batch(Cursor(head.position + 5, bytes(32)))
    await truncate_log(owner, head.position - 2)
    with pytest.raises(IntegrityError, match="is gone"):
        await feed.batch(head)


async def test_an_edited_log_is_an_alarm(traffic: Traffic, feed: Feed, owner):
    await traffic.play(10)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("UPDATE events SET recorded_at_us = recorded_at_us + 1 WHERE position = 4")
    with pytest.raises(IntegrityError, match="position 4"):
        await feed.batch(GENESIS)


async def test_a_busy_wait_is_not_one(traffic: Traffic, feed: Feed, ledger, redis, monkeypatch):
    """A stream that cannot be used must not make the feed ask Postgres in a hot loop."""
    await traffic.play(5)
    log = await log_of(ledger)
    await put(redis, *rehashed([replace(e, recorded_at_us=1) for e in [*log, *log]]))
    asked = 0
    events_after = LogReader.events_after

    async def counted(self: LogReader, *arguments: Any) -> list[Recorded]:
        nonlocal asked
        asked += 1
        return await events_after(self, *arguments)

    monkeypatch.setattr(LogReader, "events_after", counted)
    assert await feed.batch(log[-1].cursor, wait_s=1) == []
    assert asked <= 20  # every 0.2 s, twice; a hot loop would ask hundreds of times
