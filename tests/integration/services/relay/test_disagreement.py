"""When streams and log disagree: the relay stops with an alarm rather than mix two histories."""

import pytest
from prometheus_client import REGISTRY

from ledger.log.ledger import Ledger
from services.platform.redis_keys import EPOCH, JOBS, LEDGER
from services.streams import entries as streams
from services.streams.compare import check_streams
from tests.integration.services.relay.conftest import truncate_log
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


def halted() -> bool:
    return REGISTRY.get_sample_value("neurocards_relay_halted") == 1


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


async def test_a_foreign_entry_in_the_ledger_stream_stops_the_relay(
    traffic: Traffic, start_relay, published, redis
):
    """Its automatic ID blocks every later position."""
    await traffic.play(10)
    await start_relay()
    await published()
    await redis.xadd(LEDGER, {"who": "somebody else"})

    await eventually(halted, what="the relay has stopped with an alarm")


async def test_a_foreign_entry_in_the_jobs_stream_is_cleared_away(
    traffic: Traffic, start_relay, published, redis
):
    """The log tells which jobs are unfinished, so nobody need be asked."""
    await traffic.play(10)
    await start_relay()
    await published()
    await redis.xadd(JOBS, {"who": "somebody else"})
    await traffic.play(3)

    async def only_ours() -> bool:
        return not (await published()).problems

    await eventually(only_ours, what="the jobs stream is ours again")
    assert not halted()
