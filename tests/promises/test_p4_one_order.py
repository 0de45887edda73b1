"""Promise 4: One order, no gaps.

Positions are 1, 2, 3, … in commit order. A reader who has seen n never meets a lower one later.
"""

import asyncio

import pytest

from events.envelope import GENESIS, Cursor, Recorded
from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from services.platform.redis import blocking_client
from services.platform.redis_keys import LEDGER
from services.streams.compare import check_streams
from services.streams.entries import decode_entry
from services.streams.feed import BLOCK_S_MAX, Feed
from tests.integration.ledger.conftest import order, positions, rich
from tests.support.waiting import eventually

HOLD = """
CREATE FUNCTION hold_in_flight() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(42);
    RETURN NULL;
END $$;
GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock_shared(bigint) TO neurocards_log;
CREATE TRIGGER hold AFTER INSERT ON events FOR EACH ROW
    WHEN (NEW.stream = 'account-held') EXECUTE FUNCTION hold_in_flight();
"""


@pytest.fixture
async def two_ledgers(ledger: Ledger, database_url, pool):
    """Two appenders, as two processes have them."""
    async with Ledger(database_url, pool) as other:
        yield ledger, other


async def test_a_reader_across_two_racing_appends(
    two_ledgers, owner, pool, settings, start_relay, published, redis
):
    first, second = two_ledgers
    for number in range(5):
        await first.execute(c.OpenAccount(f"a{number}", "0" * 64), key=f"open:a{number}")
    await owner.execute(HOLD)
    await start_relay()
    feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=0.05)
    seen: list[Recorded] = []
    over = asyncio.Event()
    reader = asyncio.create_task(follow(feed, seen, over))
    await eventually(lambda: len(seen) == 5)

    await owner.execute("SELECT pg_advisory_lock(42)")  # the next insert stays in flight
    held = asyncio.create_task(first.execute(c.OpenAccount("held", "0" * 64), key="open:held"))
    await eventually(lambda: waits_for(owner, "advisory"), what="the first append is in flight")
    racing = asyncio.create_task(second.execute(c.OpenAccount("racing", "0" * 64), key="open:racing"))
    await eventually(lambda: waits_for(owner, "relation"), what="the second append races it")
    assert len(await LogReader(pool).events_after(0)) == 5
    assert not held.done() and not racing.done(), "the later append may not be visible before the earlier"
    await owner.execute("SELECT pg_advisory_unlock(42)")
    receipts = await asyncio.gather(held, racing)

    assert [receipt.position for receipt in receipts] == [6, 7]
    await eventually(lambda: len(seen) == 7)
    over.set()
    await reader
    assert [event.position for event in seen] == list(range(1, 8))
    assert (await published()).problems == []
    await feed.close()


async def test_many_processes_append_and_no_reader_meets_a_lower_position_later(
    ledger: Ledger, database_url, pool, settings, start_relay, published, redis
):
    await start_relay()
    feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=0.05)
    fed: list[Recorded] = []
    polled: list[int] = []
    over = asyncio.Event()
    reading = (follow(feed, fed, over), poll(LogReader(pool), polled, over))
    readers = [asyncio.create_task(each) for each in reading]

    async def append(process: int) -> None:
        async with Ledger(database_url, pool) as own:
            for batch in range(15):
                names = [f"p{process}-{batch}-{n}" for n in range(4)]
                await asyncio.gather(
                    *(own.execute(c.OpenAccount(n, "0" * 64), key=f"open:{n}") for n in names)
                )

    await asyncio.gather(*(append(process) for process in range(4)))
    total = 4 * 15 * 4
    await eventually(lambda: len(fed) == total and len(polled) == total)
    over.set()
    await asyncio.gather(*readers)

    assert polled == [event.position for event in fed] == list(range(1, total + 1))
    assert (await published()).problems == []
    entries = await redis.xrange(LEDGER)
    assert [decode_entry(*entry) for entry in entries] == fed
    assert (await check_streams(redis, pool)).ledger_entries == total
    await feed.close()


async def follow(feed: Feed, seen: list[Recorded], over: asyncio.Event) -> None:
    """Until told that it is over: in Python 3.11 a wait that ends as it is cancelled goes on."""
    cursor: Cursor = GENESIS
    while not over.is_set():
        events = await feed.batch(cursor, limit=10, wait_s=0.1)
        seen += events
        cursor = events[-1].cursor if events else cursor


async def poll(reader: LogReader, seen: list[int], over: asyncio.Event) -> None:
    """A reader who only remembers a position and asks for what is greater."""
    while not over.is_set():
        seen += [event.position for event in await reader.events_after(seen[-1] if seen else 0, 7)]
        await asyncio.sleep(0)


async def waits_for(owner, kind: str, count: int = 1) -> bool:
    """Whether so many sessions wait for a lock of this kind."""
    waiting = await owner.fetchval(
        """SELECT count(*) FROM pg_stat_activity
           WHERE wait_event_type = 'Lock' AND wait_event = $1 AND datname = current_database()""",
        kind,
    )
    return bool(waiting >= count)


async def test_a_reader_never_meets_a_lower_position_later(ledger, database_url, pool, owner):
    """Hold one append in flight while another process wants to append: the second waits for its turn."""
    await rich(ledger, "slow")
    await rich(ledger, "quick")
    await owner.execute(
        """CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
           CREATE TRIGGER hold BEFORE INSERT ON events FOR EACH ROW
           WHEN (NEW.stream = 'account-slow') EXECUTE FUNCTION hold()"""
    )
    start = (await ledger.read.head()).position
    seen: list[tuple[int, str]] = []
    async with Ledger(database_url, pool) as another:
        slow = asyncio.create_task(ledger.execute(c.GrantCredits("slow", 1, "manual", "x"), key="slow"))
        held = """SELECT count(*) FROM pg_stat_activity
                  WHERE wait_event = 'PgSleep' AND datname = current_database()"""
        await eventually(lambda: owner.fetchval(held))
        quick = asyncio.create_task(another.execute(c.GrantCredits("quick", 1, "manual", "x"), key="quick"))
        while len(seen) < 2:
            after = seen[-1][0] if seen else start
            seen += [(e.position, e.stream) for e in await ledger.read.events_after(after)]
        assert seen == [(start + 1, "account-slow"), (start + 2, "account-quick")]
        await asyncio.gather(slow, quick)


async def test_backends_killed_under_load_lose_and_double_nothing(ledger, database_url, pool, owner):
    await rich(ledger, "a", 400)
    done = asyncio.Event()

    async def kill() -> int:
        killed = 0
        while not done.is_set() and killed < 20:
            killed += await owner.fetchval(
                """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE application_name = 'neurocards-appender' AND datname = current_database()"""
            )
            await asyncio.sleep(0.05)
        return killed

    async with Ledger(database_url, pool) as another:
        killer = asyncio.create_task(kill())
        for wave in range(10):  # the kills end before the waves do, or the waves would hardly move
            await asyncio.gather(
                *[
                    who.execute(order("a", f"o{wave}-{n}-{i}"), key=f"order:o{wave}-{n}-{i}")
                    for n in range(20)
                    for i, who in enumerate((ledger, another))
                ]
            )
        done.set()
        assert await killer > 0
    assert (await ledger.read.account("a")).balance == 0
    assert await positions(ledger) == list(range(1, 3 + 800 + 1))
