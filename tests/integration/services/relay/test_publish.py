"""The relay publishes everything, once, in order, with no one else's help."""

import asyncio

import pytest

from services.platform.redis_keys import EPOCH, JOBS, LEDGER
from services.streams import entries as streams
from services.streams.entries import GENERATION
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


async def test_all_that_is_appended_is_published_in_order_and_jobs_get_theirs(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(50)
    await start_relay()
    await traffic.play(50)

    report = await published()

    head = await ledger.read.head()
    assert report.problems == []
    assert report.ledger_entries == head.position
    entries = await redis.xrange(JOBS)
    expected = [e async for e in ledger.read.scan() if e.type in streams.JOB_TYPES]
    assert [streams.decode_job(*entry) for entry in entries] == [streams.job_entry(e) for e in expected]
    assert len(entries) > 20


async def test_an_empty_log_still_gives_workers_their_group(start_relay, redis, traffic: Traffic, published):
    await start_relay()
    await eventually(lambda: redis.exists(EPOCH, JOBS), what="the streams are made")
    groups = await eventually(lambda: redis.xinfo_groups(JOBS))
    assert [(g["name"], g["last-delivered-id"]) for g in groups] == [(GENERATION.encode(), b"0-0")]

    await traffic.play(5)
    assert (await published()).problems == []


async def test_a_second_relay_later_goes_on_where_the_first_stopped(
    traffic: Traffic, start_relay, published, redis
):
    await traffic.play(20)
    first = await start_relay()
    await published()
    await first.end()
    epoch = await redis.get(EPOCH)
    await traffic.play(20)

    await start_relay()

    assert (await published()).problems == []
    assert await redis.get(EPOCH) == epoch


async def test_two_relays_at_once_double_nothing(traffic: Traffic, start_relay, published, redis, ledger):
    await traffic.play(30)
    await asyncio.gather(start_relay(), start_relay())
    for _ in range(20):
        await traffic.play(5)

    report = await published()

    assert report.problems == []
    assert report.ledger_entries == (await ledger.read.head()).position


async def test_large_events_go_out_in_several_batches(
    traffic: Traffic, start_relay, published, ledger, monkeypatch
):
    monkeypatch.setattr("services.relay.relay.BATCH_BYTES", 500)
    await traffic.play(60)
    await start_relay()
    assert (await published()).problems == []


async def test_the_ledger_stream_is_capped_and_its_cursor_survives(
    traffic: Traffic, start_relay, published, redis
):
    await traffic.play(150)
    relay = await start_relay(ledger_entries_max=10)
    report = await published()
    assert 10 <= report.ledger_entries < 130  # nodes of 100 entries are removed whole
    await relay.end()
    await redis.xtrim(LEDGER, maxlen=0, approximate=False)
    epoch = await redis.get(EPOCH)

    await start_relay(ledger_entries_max=10)
    await traffic.play(10)

    assert (await published()).problems == []
    assert await redis.get(EPOCH) == epoch


async def test_jobs_keeps_the_oldest_unfinished_job_and_drops_what_is_done(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.open_accounts()
    done = [await traffic.order(3) for _ in range(10)]
    for jobs in done:
        for job in jobs:
            await traffic.fail(job)
    (oldest,) = await traffic.order()
    kept = (await ledger.read.open_jobs())[0]
    assert kept.job == oldest
    for _ in range(10):
        for job in await traffic.order():
            await traffic.fail(job)

    await start_relay(trim_every_s=0.05)
    await published()

    async def first() -> int | None:
        return streams.position_of((await redis.xrange(JOBS, count=1))[0][0])

    await eventually(lambda: _is(first, kept.position), what="older jobs are trimmed")
    await traffic.order()  # a later trim must not go further either
    assert (await published()).problems == []
    assert await first() == kept.position


async def _is(ask, value: int) -> bool:
    return bool(await ask() == value)


async def test_without_unfinished_jobs_the_stream_empties_and_new_jobs_still_arrive(
    traffic: Traffic, start_relay, published, redis
):
    await traffic.play(30)
    await traffic.finish_all()
    await start_relay(trim_every_s=0.05)
    await published()
    await eventually(lambda: _is(lambda: redis.xlen(JOBS), 0), what="all is trimmed")

    (job,) = await traffic.order()

    report = await published()
    assert report.problems == []
    assert [fields[b"job"].decode() for _, fields in await redis.xrange(JOBS)] == [job]


async def test_a_dead_listener_costs_a_poll_and_no_event(
    traffic: Traffic, start_relay, published, owner, ledger
):
    relay = await start_relay()
    await traffic.play(5)
    await published()
    listening = """SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = 'neurocards-test-listen' AND datname = current_database()"""
    await eventually(lambda: _is(lambda: owner.fetchval(listening), 1))
    killed = listening.replace("count(*)", "bool_and(pg_terminate_backend(pid))")
    assert await owner.fetchval(killed)

    await traffic.play(5)

    assert (await published()).problems == []
    await eventually(lambda: _is(lambda: owner.fetchval(listening), 1), what="it listens again")
    assert not any(task.done() for task in relay.tasks)


async def test_a_hint_wakes_the_relay_long_before_the_next_poll(
    traffic: Traffic, start_relay, published, redis
):
    await traffic.play(1)
    relay = await start_relay(poll_s=60)
    await published()
    await eventually(lambda: not relay.listener.wake.is_set())
    await traffic.play(1)
    assert (await published()).problems == []


@pytest.mark.parametrize("size", [1, 7])
async def test_a_page_boundary_loses_nothing(traffic: Traffic, start_relay, published, size, monkeypatch):
    monkeypatch.setattr("services.relay.relay.PAGE_EVENTS", size)
    await traffic.play(20)
    await start_relay()
    assert (await published()).problems == []
