"""Where the streams begin again after a wipe, and when the relay refuses to go on."""

import pytest
from prometheus_client import REGISTRY

from events.envelope import Cursor
from ledger.log import Ledger
from projections import cursors
from services.relay.scripts import Place, Scripts
from services.shared import streams
from services.shared.stream_check import check_streams
from services.shared.streams import EPOCH, GENERATION, JOBS, LEDGER
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


def halted() -> bool:
    return REGISTRY.get_sample_value("neurocards_relay_halted") == 1


async def consumed_everywhere(pool, ledger, position: int) -> None:
    """Every in-order consumer has come to this position."""
    (event,) = await ledger.read.events_after(position - 1, 1)
    for name in await pool.fetch("SELECT name FROM cursors"):
        await cursors.move(pool, name["name"], 1, event.cursor)


async def first_position(redis) -> int | None:
    return streams.position_of((await redis.xrange(LEDGER, count=1))[0][0])


async def test_publishing_begins_again_at_what_the_consumers_still_need(
    traffic: Traffic, start_relay, published, redis, pool, ledger
):
    await traffic.play(60)
    head = await ledger.read.head()
    needed = head.position - 10
    await consumed_everywhere(pool, ledger, needed)
    unfinished = [job for job in await ledger.read.open_jobs() if job.position <= needed]
    assert unfinished

    await start_relay()
    report = await published()

    assert report.problems == []
    assert await first_position(redis) == needed
    entries = [streams.decode_job(*entry) for entry in await redis.xrange(JOBS)]
    older = [entry for entry in entries if entry.position <= needed]
    assert [(e.position, e.job, e.type) for e in older] == [
        (j.position, j.job, "JobQueued") for j in unfinished
    ]
    assert [e.position for e in entries] == sorted(e.position for e in entries)


async def test_a_consumer_far_behind_does_not_make_new_orders_wait(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(60)  # the consumers are at the log's beginning
    head = await ledger.read.head()

    await start_relay(reach_back=20)
    report = await published()

    assert report.problems == []
    assert await first_position(redis) == head.position - 20
    assert report.jobs_entries >= len(await ledger.read.open_jobs())


async def test_more_unfinished_jobs_than_one_script_takes(
    traffic: Traffic, start_relay, published, redis, pool, ledger, monkeypatch
):
    monkeypatch.setattr("services.relay.recovery.OPEN_JOBS_MAX", 5)
    await traffic.open_accounts()
    for _ in range(10):
        await traffic.order()
    jobs = await ledger.read.open_jobs()
    await consumed_everywhere(pool, ledger, (await ledger.read.head()).position)

    await start_relay()

    report = await published()
    assert report.problems == []
    assert await first_position(redis) == jobs[4].position
    assert report.jobs_entries == len(jobs)


async def test_the_group_begins_before_the_first_job_and_the_epoch_grows(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(20)
    await start_relay()
    await published()
    epoch = int(await redis.get(EPOCH))
    await redis.flushdb()
    await published()

    assert int(await redis.get(EPOCH)) > epoch
    taken = await redis.xreadgroup(GENERATION, "w1", {JOBS: ">"}, count=1000)
    jobs = {streams.decode_job(*entry).job for entry in taken[0][1]}
    assert {job.job for job in await ledger.read.open_jobs()} <= jobs


async def test_a_hand_set_epoch_in_the_future_still_grows(traffic: Traffic, start_relay, published, redis):
    await redis.set(EPOCH, "9000000000000")
    await traffic.play(5)
    await start_relay()
    await published()
    assert await redis.get(EPOCH) == b"9000000000001"


async def test_streams_of_an_old_backup_are_made_anew_when_too_far_behind(
    traffic: Traffic, start_relay, published, redis, monkeypatch
):
    await traffic.play(20)
    relay = await start_relay()
    await published()
    await relay.end()
    epoch = await redis.get(EPOCH)
    await traffic.play(60)
    monkeypatch.setattr("services.relay.recovery.BEHIND_EVENTS_MAX", 50)

    await start_relay(reach_back=10)

    assert (await published()).problems == []
    assert await redis.get(EPOCH) != epoch


async def test_jobs_restored_from_an_older_time_than_the_ledger_stream_are_made_good(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(30)
    relay = await start_relay()
    await published()
    await relay.end()
    newest = (await ledger.read.open_jobs())[-1]
    old = [
        entry for entry in await redis.xrange(JOBS) if streams.decode_job(*entry).position < newest.position
    ]
    await redis.delete(JOBS)
    for entry, fields in old:
        await redis.xadd(JOBS, fields, id=entry)
    assert (await published()).problems

    await start_relay()

    await eventually(lambda: _agrees(published), what="the missing jobs are there")


async def _agrees(published) -> bool:
    return not (await published()).problems


async def truncate_log(owner, after: int) -> None:
    """As after a restore to an earlier time. Only the owner can, by switching the guard off."""
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("DELETE FROM events WHERE position > $1", after)
    await owner.execute("DELETE FROM open_jobs WHERE position > $1", after)
    await owner.execute("ALTER TABLE events ENABLE TRIGGER events_append_only")


async def test_a_log_that_ends_before_the_stream_stops_the_relay(
    traffic: Traffic, start_relay, published, redis, owner, ledger, database_url, pool
):
    await traffic.play(20)
    await start_relay()
    await published()
    head = await ledger.read.head()
    entries = await redis.xlen(LEDGER)

    await truncate_log(owner, head.position - 5)

    await eventually(halted, what="the relay has stopped with an alarm")
    assert await redis.xlen(LEDGER) == entries


@pytest.mark.parametrize("lost", [(), (EPOCH,), (JOBS, EPOCH)])
async def test_a_log_rewritten_below_the_stream_stops_the_relay_also_when_it_has_grown_past_it(
    traffic: Traffic, start_relay, published, redis, owner, ledger, pool, database_url, lost: tuple[str, ...]
):
    await traffic.play(20)
    relay = await start_relay()
    await published()
    await relay.end()
    head = await ledger.read.head()
    last = await redis.xrevrange(LEDGER, count=1)
    await truncate_log(owner, head.position - 5)
    async with Ledger(database_url, pool) as other:
        await Traffic(other, seed=2, prefix="other-").play(20)
    assert (await ledger.read.head()).position > head.position
    if lost:  # what else is lost must not make the relay forget what it has published
        await redis.delete(*lost)

    await start_relay()

    await eventually(halted, what="the relay has stopped with an alarm")
    assert await redis.xrevrange(LEDGER, count=1) == last
    problems = (await check_streams(redis, pool)).problems
    assert {problem.kind for problem in problems} == {"streams"}

    # What `neurocards recover` will do about the streams: then the relay goes on by itself.
    await redis.delete(LEDGER, JOBS)
    await eventually(lambda: not halted())
    assert (await published()).problems == []


async def test_a_running_relay_notices_that_the_log_went_back_under_it(
    traffic: Traffic, start_relay, published, redis, owner, ledger, pool, database_url
):
    """It has published what is gone, and the next events chain to something else."""
    await traffic.play(20)
    await start_relay(poll_s=60)  # no poll sees the short log; the next hint comes when it has grown again
    await published()
    head = await ledger.read.head()
    async with owner.transaction():
        await truncate_log(owner, head.position - 3)
    async with Ledger(database_url, pool) as other:
        await Traffic(other, seed=2, prefix="other-").play(20)

    await eventually(halted, what="the relay has stopped with an alarm")
    last = await redis.xrevrange(LEDGER, count=1)
    assert streams.position_of(last[0][0]) <= head.position


@pytest.mark.parametrize("stream", [LEDGER, JOBS])
async def test_a_foreign_entry_with_an_automatic_id(
    traffic: Traffic, start_relay, published, redis, ledger, stream
):
    await traffic.play(10)
    await start_relay()
    await published()
    await redis.xadd(stream, {"who": "somebody else"})
    await traffic.play(3)

    if stream == LEDGER:
        await eventually(halted, what="the relay has stopped with an alarm")
    else:  # the log tells which jobs are unfinished, so this one is made anew without asking
        await eventually(lambda: halted() or _only_ours(redis), what="the stream is ours again")


async def _only_ours(redis) -> bool:
    return all(streams.position_of(entry) is not None for entry, _ in await redis.xrange(JOBS))


async def test_the_script_refuses_another_hash_before_the_batch(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(10)
    relay = await start_relay()
    await published()
    await relay.end()
    scripts = Scripts(redis, ledger_entries_max=1000)
    state = await scripts.state()
    assert state.last is not None
    await traffic.play(1)
    events = await ledger.read.events_after(state.last.position)

    wrong = Place(Cursor(state.last.position, bytes(32)), state.jobs_last, state.epoch)
    assert await scripts.publish(wrong, events) is None
    assert await scripts.state() == state
    elsewhere = Place(state.last.cursor, "1-0", state.epoch)
    assert await scripts.publish(elsewhere, events) is None
    assert await scripts.state() == state
    before_a_wipe = Place(state.last.cursor, state.jobs_last, "1")
    assert await scripts.publish(before_a_wipe, events) is None
    assert await scripts.state() == state
    right = await scripts.publish(Place(state.last.cursor, state.jobs_last, state.epoch), events)
    assert right is not None and right.cursor == events[-1].cursor


async def test_the_script_refuses_another_position_also_when_no_entry_is_left_to_compare(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(10)
    relay = await start_relay()
    await published()
    await relay.end()
    scripts = Scripts(redis, ledger_entries_max=1000)
    await redis.xtrim(LEDGER, maxlen=0, approximate=False)
    state = await scripts.state()
    assert state.last is None
    published_last = streams.position_of(state.ledger_last)
    assert published_last is not None
    await traffic.play(2)
    missing_one = await ledger.read.events_after(published_last + 1)

    place = Place(Cursor(published_last + 1, bytes(32)), state.jobs_last, state.epoch)
    assert await scripts.publish(place, missing_one) is None
    assert await scripts.state() == state


async def test_making_anew_is_refused_once_the_streams_have_changed(traffic: Traffic, redis, ledger):
    await traffic.play(10)
    scripts = Scripts(redis, ledger_entries_max=1000)
    (base,) = await ledger.read.events_after(4, 1)
    seen = await scripts.state()
    first = await scripts.recover(seen, base, [])
    state = await scripts.state()

    assert first is not None
    assert await scripts.recover(seen, None, []) is None
    assert await scripts.state() == state
    assert (state.ledger_last, state.jobs_last) == ("5-0", "0-0")
