"""Promise 5: Redis is disposable.

`FLUSHALL` at any moment loses no money, no job and no message, and repeats none.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, get_args

import pytest
from redis.asyncio import Redis

from services.local.valkey import EmbeddedValkey
from services.platform.redis import command_client
from services.platform.redis_keys import EPOCH, JOBS, LEDGER
from services.platform.settings import load_settings
from services.streams.compare import check_streams
from services.streams.publisher.scripts import Scripts
from tests.support.redis_proxy import Fate, RedisProxy, script_digest
from tests.support.services import Services
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

PUBLISH = script_digest("services.streams.publisher", "last_id", "publish")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.relay.relay.PAGE_EVENTS", 5)


def between_scripts(monkeypatch: pytest.MonkeyPatch, act: Callable[[int, str], Any]) -> None:
    """Await `act(n, name)` after every script the relay runs."""
    run, numbers = Scripts._run, itertools.count(1)

    async def run_and_act(self: Scripts, name: str, *arguments: Any) -> Any:
        answer = await run(self, name, *arguments)
        await act(next(numbers), name)
        return answer

    monkeypatch.setattr(Scripts, "_run", run_and_act)


@pytest.mark.parametrize("script", range(1, 9))
@pytest.mark.usefixtures("small_pages")
async def test_a_wipe_after_any_script(traffic: Traffic, start_relay, published, redis, monkeypatch, script):
    await traffic.play(12)

    async def wipe(number: int, name: str) -> None:
        if number == script:
            await redis.flushdb()

    between_scripts(monkeypatch, wipe)
    await start_relay()
    report = await published()
    assert report.problems == []
    assert await redis.exists(EPOCH)

    await traffic.play(5)
    assert (await published()).problems == []


@pytest.mark.parametrize("key", [LEDGER, JOBS, EPOCH])
@pytest.mark.usefixtures("small_pages")
async def test_losing_one_key_after_any_script(
    traffic: Traffic, start_relay, published, redis, monkeypatch, key
):
    await traffic.play(12)

    async def lose(number: int, name: str) -> None:
        if number % 3 == 0 and number < 20:
            await redis.delete(key)

    between_scripts(monkeypatch, lose)
    await start_relay()
    await traffic.play(12)

    async def right() -> bool:
        return not (await published()).problems and await redis.exists(EPOCH, JOBS) == 2

    await eventually(right, what="all is there again")


async def test_a_wipe_while_nothing_happens_is_made_good_without_a_new_event(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(30)
    await start_relay()
    await published()
    assert await ledger.read.open_jobs()
    await redis.flushdb()

    report = await published()

    assert report.problems == []
    assert report.jobs_entries >= len(await ledger.read.open_jobs())


@pytest.mark.usefixtures("small_pages")
async def test_wipes_at_any_time_while_orders_come_in(traffic: Traffic, start_relay, published, redis):
    stop = asyncio.Event()

    async def wipe() -> None:
        while not stop.is_set():
            await asyncio.sleep(0.03)
            await redis.flushdb()

    await traffic.play(5)
    await asyncio.gather(start_relay(), start_relay())
    wiping = asyncio.create_task(wipe())
    await traffic.play(200)
    stop.set()
    await wiping

    assert (await published()).problems == []


@pytest.fixture
async def proxy(_session_valkey: EmbeddedValkey):
    async with RedisProxy(str(_session_valkey.socket_path)) as proxy:
        yield proxy


def database_of(redis_url: str) -> int:
    return int(redis_url.rpartition("=")[2])


@pytest.mark.parametrize("fate", ["drop_before", "drop_after"])
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.usefixtures("small_pages")
async def test_a_lost_command_or_a_lost_answer_doubles_nothing(
    traffic: Traffic,
    start_relay,
    published,
    proxy: RedisProxy,
    database_url,
    redis_url,
    fate: Fate,
    every: int,
):
    """`every` 1: the client's own retries fail too, so the relay has to look again."""
    seen = itertools.count(1)

    def choose(data: bytes) -> Fate | None:
        return fate if PUBLISH in data and proxy.strikes < 12 and next(seen) % every == 0 else None

    proxy.choose = choose
    await traffic.play(12)
    through = load_settings(database_url=database_url, redis_url=proxy.url(database_of(redis_url)))
    async with command_client(through) as client:
        relay = await start_relay(redis=client)
        await traffic.play(12)
        report = await published()
        assert report.problems == []
        assert proxy.strikes >= 4
        await relay.end()


@pytest.mark.parametrize("fate", [fate for fate in get_args(Fate) if fate.startswith("hang")])
async def test_a_relay_killed_inside_a_batch(
    traffic: Traffic, services: Services, published, proxy: RedisProxy, redis: Redis, redis_url, fate: Fate
):
    await traffic.play(20)
    seen = itertools.count(1)

    def choose(data: bytes) -> Fate | None:
        return fate if PUBLISH in data and next(seen) == 2 else None

    proxy.choose = choose
    relay = services.start("relay", REDIS_URL=proxy.url(database_of(redis_url)))
    await eventually(lambda: redis.xlen(LEDGER), what="a first batch")
    await traffic.play(20)  # these are the second batch, which the relay never hears of again
    await asyncio.wait_for(proxy.struck.wait(), 60)
    before = await redis.xlen(LEDGER)

    relay.kill()
    await traffic.play(5)
    services.start("relay", name="relay-2")

    report = await published()
    assert report.problems == []
    assert report.ledger_entries > before


async def test_a_relay_frozen_inside_a_batch_wakes_up_to_no_harm(
    traffic: Traffic, services: Services, published, proxy: RedisProxy, redis: Redis, redis_url
):
    await traffic.play(20)
    proxy.choose = lambda data: "hang_before" if PUBLISH in data and not proxy.strikes else None
    services.start("relay", REDIS_URL=proxy.url(database_of(redis_url)))
    await asyncio.wait_for(proxy.struck.wait(), 60)

    services.start("relay", name="relay-2")  # goes on while the first waits for its answer
    await traffic.play(10)
    assert (await published()).problems == []
    await redis.flushdb()
    assert (await published()).problems == []


async def test_scripts_are_found_again_after_the_server_forgot_them(
    traffic: Traffic, start_relay, published, redis: Redis
):
    await traffic.play(5)
    await start_relay()
    await published()
    await redis.script_flush()
    await traffic.play(5)
    assert (await published()).problems == []


async def test_a_redis_that_restarts_empty_or_old_is_caught_up(
    traffic: Traffic, database_url, own_valkey: EmbeddedValkey, start_relay, ledger, pool
):
    settings = load_settings(database_url=database_url, redis_url=own_valkey.url())
    async with command_client(settings) as client:
        await traffic.play(20)
        relay = await start_relay(redis=client)

        async def caught_up() -> bool:
            head = await ledger.read.head()
            try:
                info: Any = await client.xinfo_stream(LEDGER)
            except Exception:  # it is starting, or the stream is not there yet
                return False
            return bool(info["last-generated-id"] == f"{head.position}-0".encode())

        await eventually(caught_up)
        own_valkey.stop()
        await traffic.play(10)
        own_valkey.start()

        await eventually(caught_up)
        assert (await check_streams(client, pool)).problems == []
        await relay.end()
