"""The projector: follows, survives kills, and one projection that stops does not stop the other."""

import asyncio

from prometheus_client import REGISTRY

from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.engine.state_root import build
from projections.rebuild.run import rebuild
from projections.verify.run import check_ledger
from services.platform.redis import blocking_client
from services.projector.projector import Follower
from services.streams.feed import BLOCK_S_MAX, Feed, HeadWatch
from tests.support.hand_made import append_unknown
from tests.support.services import Services
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


async def all_at_head(pool, ledger: Ledger) -> bool:
    head = await ledger.read.head()
    return all([(await state_root(pool, name)).cursor == head for name in PROJECTIONS])


async def test_killed_at_any_moment_it_doubles_nothing_and_catches_up(
    traffic: Traffic, services: Services, pool, ledger: Ledger
):
    services.start("relay")
    await traffic.play(20)
    for number in range(4):
        projector = services.start("projector", name=f"projector-{number}")
        await traffic.play(15)
        projector.kill()
    services.start("projector", name="last")
    await eventually(lambda: all_at_head(pool, ledger))
    assert await check_ledger(pool) == []
    for name in PROJECTIONS:
        built, _ = await build(LogReader(pool), name, 10**9)
        assert (await state_root(pool, name)).root == built.root


async def test_without_relay_and_redis_it_is_late_and_right(
    traffic: Traffic, services: Services, pool, ledger: Ledger, tmp_path
):
    services.start("projector", REDIS_URL=f"unix://{tmp_path}/nowhere.sock")
    await traffic.play(20)
    await eventually(lambda: all_at_head(pool, ledger))
    assert await check_ledger(pool) == []


async def test_it_ends_in_good_order(services: Services):
    assert services.start("projector").stop() == 0
    assert services.start("relay").stop() == 0


async def test_a_rebuild_under_a_running_projector(
    traffic: Traffic, services: Services, pool, ledger: Ledger, database_url
):
    services.start("projector")
    await traffic.play(30)
    await eventually(lambda: all_at_head(pool, ledger))
    for name in PROJECTIONS:
        assert (await rebuild(database_url, name)).differences.rows == 0
    await traffic.play(10)
    await eventually(lambda: all_at_head(pool, ledger))
    assert await check_ledger(pool) == []


async def test_what_one_projection_cannot_apply_stops_it_alone_until_it_can(
    traffic: Traffic, settings, pool, owner, ledger: Ledger
):
    await traffic.play(10)
    await owner.execute("UPDATE cursors SET hash = $1, position = 3 WHERE name = 'balances'", bytes(32))
    stop = asyncio.Event()
    feeds = [Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=0.1) for _ in PROJECTIONS]
    followers = [
        asyncio.create_task(Follower(Runner(pool, p), feed.batch, stopped_retry_s=0.1).run(stop))
        for p, feed in zip(PROJECTIONS.values(), feeds, strict=True)
    ]

    def stopped(name: str) -> bool:
        return REGISTRY.get_sample_value("neurocards_projection_stopped", {"projection": name}) == 1

    async def at_head(name: str) -> bool:
        return (await state_root(pool, name)).cursor == await ledger.read.head()

    await eventually(lambda: stopped("balances"))
    await eventually(lambda: at_head("job_status"))
    assert not stopped("job_status")

    await owner.execute("UPDATE cursors SET hash = DEFAULT, position = 0 WHERE name = 'balances'")
    await eventually(lambda: at_head("balances"))
    assert not stopped("balances")
    stop.set()
    await asyncio.gather(*followers)
    for feed in feeds:
        await feed.close()


async def test_where_a_newer_version_has_gone_on_it_goes_on_too_and_says_so(
    traffic: Traffic, pool, ledger: Ledger, owner
):
    await traffic.play(5)
    await append_unknown(owner, "account-future")
    stop, head = asyncio.Event(), await ledger.read.head()

    async def read(after, *, limit: int, wait_s: float):
        await asyncio.sleep(0.01)
        return await ledger.read.following(after, limit)

    follower = Follower(Runner(pool, PROJECTIONS["balances"]), read, stopped_retry_s=0.01)
    watch = HeadWatch(ledger.read)
    await watch.run_once()
    task = asyncio.create_task(follower.run(stop))
    told = await eventually(lambda: (status := follower.status(watch))["stopped"] and status)
    assert "upgrade" in told["stopped"] and told["lag"] > 0
    await pool.execute("UPDATE cursors SET position = $1, hash = $2", head.position, head.hash)
    await eventually(lambda: follower.status(watch) == {"position": head.position, "lag": 0, "stopped": ""})
    assert REGISTRY.get_sample_value("neurocards_projection_stopped", {"projection": "balances"}) == 0
    stop.set()
    await task


async def test_a_table_that_a_newer_version_has_changed_stops_it_and_is_no_outage(
    traffic: Traffic, pool, ledger: Ledger, owner
):
    await traffic.play(5)
    await owner.execute("DROP VIEW balances; ALTER TABLE balances_v1 RENAME COLUMN terms TO agreed")
    stop = asyncio.Event()

    async def read(after, *, limit: int, wait_s: float):
        return await ledger.read.following(after, limit)

    follower = Follower(Runner(pool, PROJECTIONS["balances"]), read, stopped_retry_s=0.01)
    task = asyncio.create_task(follower.run(stop))
    await eventually(lambda: "terms" in follower.status(HeadWatch(ledger.read))["stopped"])
    await owner.execute("ALTER TABLE balances_v1 RENAME COLUMN agreed TO terms")
    await eventually(lambda: not follower.status(HeadWatch(ledger.read))["stopped"])
    stop.set()
    await task
