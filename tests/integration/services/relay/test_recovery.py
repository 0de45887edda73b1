"""Where the streams begin again after a wipe."""

from structlog.testing import capture_logs

from projections.engine import cursors
from services.platform.redis_keys import EPOCH, JOBS, LEDGER
from services.streams import entries as streams
from services.streams.entries import GENERATION
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


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

    with capture_logs() as logs:
        await start_relay()
        report = await published()

    assert report.problems == []
    assert levels(logs) == ["warning"], "what had been read is gone"
    assert await first_position(redis) == needed
    entries = [streams.decode_job(*entry) for entry in await redis.xrange(JOBS)]
    older = [entry for entry in entries if entry.position <= needed]
    assert [(e.position, e.job, e.type) for e in older] == [
        (j.position, j.job, "JobQueued") for j in unfinished
    ]
    assert [e.position for e in entries] == sorted(e.position for e in entries)


async def test_a_first_start_warns_of_nothing(traffic: Traffic, start_relay, published):
    await traffic.play(5)
    with capture_logs() as logs:
        await start_relay()
        await published()
    assert levels(logs) == ["info"]


def levels(logs) -> list[str]:
    return [line["log_level"] for line in logs if line["event"] == "streams_made_anew"]


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
    monkeypatch.setattr("services.streams.publisher.recreate.OPEN_JOBS_MAX", 5)
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
    monkeypatch.setattr("services.streams.publisher.recreate.BEHIND_EVENTS_MAX", 50)

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
