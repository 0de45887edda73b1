"""Several projections read together: each place once, and nobody waits for another."""

import asyncio
from functools import partial

import pytest

from events.envelope import GENESIS, Cursor, Recorded
from services.projector.shared_feed import SharedFeed
from tests.support.fake_clock_ledger import random_ledger

EVENTS = random_ledger(1, 20).events


class Log:
    """The events up to `end`; a read at the end waits until there are more, and counts as one."""

    def __init__(self) -> None:
        self.end = len(EVENTS)
        self.reads: list[int] = []
        self.more = asyncio.Event()
        self.fails = False

    async def batch(self, after: Cursor, *, limit: int = 500, wait_s: float = 1) -> list[Recorded]:
        self.reads.append(after.position)
        if after.position >= self.end:
            await asyncio.wait_for(self.more.wait(), 60)
        await asyncio.sleep(0)
        if self.fails:
            raise ConnectionError("away")
        return EVENTS[after.position : min(self.end, after.position + limit)]


async def test_those_at_one_place_share_a_read_and_those_behind_take_it_from_memory() -> None:
    log, common = Log(), SharedFeed()
    batch = partial(common.batch, log.batch)
    first, second = await asyncio.gather(*(batch(GENESIS, limit=10) for _ in range(2)))
    assert first == second == EVENTS[:10]
    await batch(first[-1].cursor, limit=10)
    assert await batch(EVENTS[3].cursor, limit=4) == EVENTS[4:8]
    assert await batch(first[-1].cursor, limit=10) == EVENTS[10:20]
    assert log.reads == [0, 10]


async def test_who_is_behind_does_not_wait_for_who_waits_at_the_end() -> None:
    log, common = Log(), SharedFeed()
    log.end = 30
    waiting = asyncio.create_task(common.batch(log.batch, EVENTS[29].cursor))
    await asyncio.sleep(0)
    assert await common.batch(log.batch, GENESIS, limit=5) == EVENTS[:5]
    log.end = 31
    log.more.set()
    assert await waiting == EVENTS[30:31]


async def test_another_history_at_the_same_position_is_not_taken_from_memory() -> None:
    log, common = Log(), SharedFeed()
    await common.batch(log.batch, GENESIS, limit=10)
    await common.batch(log.batch, Cursor(5, bytes(32)), limit=10)
    assert log.reads == [0, 5]


async def test_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log may be put back to an earlier time, and go on otherwise."""
    log, common = Log(), SharedFeed()
    monkeypatch.setattr("services.projector.shared_feed.KEPT_S", -1)
    for _ in range(2):
        await common.batch(log.batch, GENESIS, limit=10)
    assert log.reads == [0, 0]


async def test_an_error_reaches_all_and_the_next_read_begins_anew() -> None:
    log, common = Log(), SharedFeed()
    log.fails = True
    both = (common.batch(log.batch, GENESIS), common.batch(log.batch, GENESIS))
    assert [type(e) for e in await asyncio.gather(*both, return_exceptions=True)] == [ConnectionError] * 2
    log.fails = False
    assert await common.batch(log.batch, GENESIS, limit=3) == EVENTS[:3]
    assert log.reads == [0, 0]


async def test_who_is_cancelled_leaves_the_others_their_answer() -> None:
    log, common = Log(), SharedFeed()
    reading = asyncio.create_task(common.batch(log.batch, GENESIS, limit=3))
    await asyncio.sleep(0)
    other = asyncio.create_task(common.batch(log.batch, GENESIS, limit=3))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await other == EVENTS[:3]
