"""`ledger` built anew beside the live stream: what comes between, and what is refused."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from ledger.errors import IntegrityError
from services.platform.redis import blocking_client
from services.platform.redis_keys import EPOCH, JOBS, LEDGER, PREFIX
from services.streams.compare import check_streams
from services.streams.entries import encode_entry, entry_id, position_of
from services.streams.publisher.rebuild import Rebuild, Rebuilt
from services.streams.publisher.scripts import Scripts, StreamMismatchError
from tests.support.traffic import Traffic

Rebuilds = Callable[..., Awaitable[Rebuilt | None]]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.streams.publisher.rebuild.PAGE_EVENTS", 10)


@pytest.fixture
def rebuild(pool, redis: Redis) -> Rebuilds:
    async def run(entries: int = 1000) -> Rebuilt | None:
        scripts = Scripts(redis, ledger_entries_max=1000)
        return await Rebuild(pool, scripts, entries=entries, reach_back=1000).run()

    return run


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Awaits `act` before the nth run of a script, whoever runs it."""

    def arrange(script: str, nth: int, act: Callable[[], Awaitable[Any]]) -> None:
        run, numbers = Scripts._run, itertools.count(1)

        async def act_and_run(self: Scripts, name: str, *arguments: Any) -> Any:
            if name == script and next(numbers) == nth:
                await act()
            return await run(self, name, *arguments)

        monkeypatch.setattr(Scripts, "_run", act_and_run)

    return arrange


async def copies(redis: Redis) -> list[Any]:
    """Streams that somebody has begun to build."""
    return list(await redis.keys(f"{PREFIX}ledger:new*".replace("{", "\\{")))


async def one_after(reader: Redis, position: int) -> int | None:
    """Waits at the stream's end for the next position."""
    found: Any = await reader.xread({LEDGER: entry_id(position)}, block=10_000)
    return position_of(found[0][1][0][0])


async def test_a_spoilt_stream_is_made_right_under_a_relay_and_a_waiting_reader(
    traffic: Traffic, start_relay, published, redis, ledger, settings, rebuild: Rebuilds
):
    await traffic.play(40)
    await start_relay()
    await published()
    epoch = await redis.get(EPOCH)
    await redis.xdel(LEDGER, "7-0")
    assert (await published()).problems
    last = (await ledger.read.head()).position
    async with blocking_client(settings, 10) as reader:
        waiting = asyncio.create_task(one_after(reader, last))

        done = await rebuild()

        assert done is not None and (done.first, done.last, done.made_anew) == (1, last, None)
        await traffic.play(1)
        assert await waiting == last + 1
    report = await published()
    assert (report.problems, report.first) == ([], 1)
    assert await redis.get(EPOCH) == epoch
    assert await copies(redis) == [] and await redis.ttl(LEDGER) == -1


@pytest.mark.parametrize("scripts", [[("build", 3)], [("swap", 1)], [("swap", 1), ("swap", 2)]])
async def test_the_relay_publishes_meanwhile(
    traffic: Traffic, start_relay, published, redis, before, rebuild: Rebuilds, scripts
):
    await traffic.play(40)
    await start_relay()
    known = (await published()).last

    async def go_on() -> None:
        await traffic.play(10)
        await published()

    for script in scripts:
        before(*script, go_on)
    done = await rebuild()

    assert done is not None and done.last >= known + 10 * len(scripts)
    report = await published()
    assert (report.problems, report.first, await copies(redis)) == ([], 1, [])


@pytest.mark.parametrize(
    ("script", "relayed"),
    [(("build", 1), True), (("build", 4), False), (("swap", 1), True), (("swap", 1), False)],
)
async def test_a_wipe_meanwhile(
    traffic: Traffic, start_relay, published, redis, before, rebuild: Rebuilds, script, relayed: bool
):
    await traffic.play(40)
    relay = await start_relay()
    await published()
    if not relayed:
        await relay.end()
    before(*script, redis.flushdb)

    done = await rebuild()

    assert done is not None and done.first == 1
    report = await published()
    assert (report.problems, report.first, await copies(redis)) == ([], 1, [])


async def test_many_rebuilds_at_once_under_load(
    traffic: Traffic, start_relay, published, redis, rebuild: Rebuilds
):
    await traffic.play(40)
    await start_relay()
    await published()

    playing = asyncio.create_task(traffic.play(60))
    await asyncio.gather(*(rebuild(number) for number in (5, 50, 500)))
    await playing

    assert (await published()).problems == []
    assert await copies(redis) == []


async def test_streams_that_cannot_be_used_are_made_anew_first(
    traffic: Traffic, start_relay, published, redis, ledger, rebuild: Rebuilds
):
    assert await rebuild() is None  # the log is empty
    await traffic.play(30)
    await traffic.order(3)
    for spoil in (
        redis.flushdb,
        lambda: redis.delete(JOBS),
        lambda: redis.xtrim(JOBS, maxlen=1, approximate=False),
    ):
        await spoil()
        done = await rebuild()
        assert done is not None and done.made_anew is not None
        report = await check_streams(redis, ledger.read._pool)
        assert (report.problems, report.first, report.behind) == ([], 1, 0)
        assert report.jobs_entries == len(await ledger.read.open_jobs()) > 1


async def test_another_end_of_the_live_stream_is_refused_also_at_the_last_moment(
    traffic: Traffic, redis, ledger, before, rebuild: Rebuilds
):
    await traffic.play(30)
    await rebuild()
    (last,) = await ledger.read.events_after((await ledger.read.head()).position - 1)
    await redis.delete(LEDGER)
    strange = replace(last, hash=bytes(32))

    async def put_strange() -> None:
        await redis.delete(LEDGER)
        await redis.xadd(LEDGER, {"event": encode_entry(strange)}, id=entry_id(last.position))

    await rebuild()
    before("swap", 1, put_strange)
    for _ in range(2):  # when it comes during the work, and when it was there before
        with pytest.raises(StreamMismatchError, match="neurocards recover"):
            await rebuild()
        assert await redis.xlen(LEDGER) == 1
        assert await copies(redis) == []


async def test_a_broken_chain_is_not_published(traffic: Traffic, redis, owner, rebuild: Rebuilds):
    await traffic.play(30)
    await rebuild()
    length = await redis.xlen(LEDGER)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("UPDATE events SET recorded_at_us = recorded_at_us + 1 WHERE position = 25")

    with pytest.raises(IntegrityError, match="position 25"):
        await rebuild()

    assert (await redis.xlen(LEDGER), await copies(redis)) == (length, [])
