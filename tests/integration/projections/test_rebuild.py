"""Rebuilding beside the live table: equal, swapped while in use, and never in anyone's way."""

import asyncio

import asyncpg
import msgspec
import pytest

from ledger.log import Ledger, LogReader
from projections.errors import NoSuchProjection, RebuildDiffers, RebuildRunning, SwapTimedOut
from projections.rebuild import How, Rebuilt, rebuild, rebuild_all
from projections.root import build, state_root
from tests.integration.projections.conftest import bring_up
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

NAMES = ["balances", "job_status", "daily"]


async def versions(owner, name: str) -> list[tuple[int, bool]]:
    rows = await owner.fetch("SELECT version, active FROM cursors WHERE name = $1 ORDER BY version", name)
    return [(row["version"], row["active"]) for row in rows]


async def tables(owner, name: str) -> set[str]:
    rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE tablename LIKE $1", f"{name}_v%")
    return {row["tablename"] for row in rows}


@pytest.mark.parametrize("name", NAMES)
async def test_rebuilt_equals_live_and_only_the_table_changes(
    traffic: Traffic, pool, owner, catch_up, database_url, name: str
):
    await traffic.play(60)
    await catch_up()
    live = await state_root(pool, name)
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = $1"
    indexes_before = await owner.fetchval(indexes, f"{name}_v1")

    result = await rebuild(database_url, name)

    assert result.differences.rows == 0
    after = await state_root(pool, name)
    assert (after.root, after.rows, after.cursor) == (live.root, live.rows, live.cursor)
    assert result.state == after
    assert await versions(owner, name) == [(2, True)]
    assert await tables(owner, name) == {f"{name}_v2"}
    assert await owner.fetchval(indexes, f"{name}_v2") == indexes_before

    await traffic.play(10)
    await catch_up()
    again = await rebuild(database_url, name)
    assert again.state.version == 3
    built, _ = await build(LogReader(pool), name, 10**9)
    assert again.state.root == built.root


@pytest.mark.parametrize("name", NAMES)
async def test_rebuild_while_orders_come_in_and_the_projector_runs(
    ledger: Ledger, pool, database_url, name: str, monkeypatch
):
    monkeypatch.setattr("projections.rebuilding.source.PAGE_EVENTS", 20)
    await Traffic(ledger, prefix="before-").play(60)
    await bring_up(pool, name)
    stop = asyncio.Event()

    async def order() -> None:
        traffic = Traffic(ledger, seed=7, prefix="during-")
        while not stop.is_set():
            await traffic.play(1)

    async def project() -> None:
        while not stop.is_set():
            await bring_up(pool, name, page=7)
            await asyncio.sleep(0)

    async def read() -> int:
        """Readers of the view never see fewer rows than before, nor an error."""
        seen = 0
        while not stop.is_set():
            count = await pool.fetchval(f"SELECT count(*) FROM {name}")
            assert count >= seen
            seen = count
        return seen

    tasks = [asyncio.create_task(work()) for work in (order, project, read)]
    for _ in range(3):
        result = await rebuild(database_url, name)
        assert result.differences.rows == 0
    stop.set()
    await asyncio.gather(*tasks)

    await bring_up(pool, name)
    root = await state_root(pool, name)
    built, _ = await build(ledger.read, name, 10**9)
    assert (root.root, root.version) == (built.root, 4)
    assert root.cursor == await ledger.read.head()


async def test_a_live_table_that_is_wrong_is_told_and_kept_until_the_difference_is_accepted(
    traffic: Traffic, pool, owner, catch_up, database_url
):
    await traffic.play(30)
    await catch_up("balances")
    right = await state_root(pool, "balances")
    await owner.execute("UPDATE balances_v1 SET balance = balance + 1 WHERE account = 'a1'")
    await owner.execute("DELETE FROM balances_v1 WHERE account = 'a0'")
    await owner.execute(
        "INSERT INTO balances_v1 SELECT 'zz', 5, 5, 0, 0, 0, 0, 0, '', NULL, 0, 1, 0, 0, '[]', 0",
    )

    with pytest.raises(RebuildDiffers, match="3 rows of balances at position") as found:
        await rebuild(database_url, "balances")
    assert found.value.keys == ("a0", "a1", "zz")
    assert (await state_root(pool, "balances")).version == 1

    result = await rebuild(database_url, "balances", How(accept_difference=True))
    assert result.differences.keys == ("a0", "a1", "zz")
    assert (await state_root(pool, "balances")).root == right.root
    assert await tables(owner, "balances") == {f"balances_v{result.state.version}"}


async def test_the_swap_waits_for_a_long_reader_without_making_others_wait(
    traffic: Traffic, pool, owner, catch_up, database_url
):
    await traffic.play(30)
    await catch_up("balances")
    reader = owner.transaction()
    await reader.start()
    before = await owner.fetch("SELECT * FROM balances ORDER BY account")

    rebuilding = asyncio.create_task(rebuild(database_url, "balances", How(swap_timeout_s=30)))
    waits = """SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
               WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'balances'::regclass
               AND datname = current_database()"""
    await eventually(lambda: pool.fetchval(waits), what="the swap waits for the view")
    slowest = 0.0
    loop = asyncio.get_running_loop()
    for _ in range(30):
        began = loop.time()
        await pool.fetch("SELECT * FROM balances WHERE account = 'a0'")
        slowest = max(slowest, loop.time() - began)
        await asyncio.sleep(0.05)
    assert slowest < 1, "readers wait at most for the swap's short lock timeout"
    assert not rebuilding.done()
    await traffic.play(5)
    await asyncio.wait_for(catch_up("balances"), 5)  # nor does the projector
    assert (
        await owner.fetch("SELECT * FROM balances ORDER BY account") != before
    )  # READ COMMITTED: it goes on

    await reader.commit()
    result = await asyncio.wait_for(rebuilding, 10)
    assert (await state_root(pool, "balances")).version == result.state.version


async def test_a_swap_that_never_gets_the_view_gives_up_and_can_be_repeated(
    traffic: Traffic, pool, owner, catch_up, database_url
):
    await traffic.play(10)
    await catch_up("balances")
    async with owner.transaction():
        await owner.fetch("SELECT * FROM balances")
        with pytest.raises(SwapTimedOut, match="try again"):
            await rebuild(database_url, "balances", How(swap_timeout_s=0.1))
    assert (await state_root(pool, "balances")).version == 1
    assert (await rebuild(database_url, "balances")).state.version > 1
    assert len(await versions(owner, "balances")) == 1


async def test_an_old_table_that_a_long_reader_holds_is_dropped_by_the_next_rebuild(
    traffic: Traffic, pool, owner, catch_up, database_url
):
    await traffic.play(10)
    await catch_up("balances")
    async with owner.transaction():
        await owner.fetch("SELECT * FROM balances_v1")  # not the view
        await rebuild(database_url, "balances")
        assert await versions(owner, "balances") == [(1, False), (2, True)]
    await rebuild(database_url, "balances")
    assert await tables(owner, "balances") == {"balances_v3"}


async def test_two_rebuilds_of_one_projection_do_not_meet(traffic: Traffic, catch_up, database_url):
    await traffic.play(30)
    await catch_up()
    both = await asyncio.gather(
        rebuild(database_url, "balances"), rebuild(database_url, "balances"), return_exceptions=True
    )
    assert {type(one) for one in both} == {Rebuilt, RebuildRunning}


async def test_a_rebuild_that_was_killed_leaves_nothing_behind_that_matters(
    traffic: Traffic, pool, owner, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuilding.source.PAGE_EVENTS", 10)
    await traffic.play(60)
    await catch_up("balances")

    async def kill(position: int, target: int) -> None:
        await owner.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'neurocards-rebuild' AND datname = current_database()"""
        )

    killing: list[asyncio.Task[None]] = []

    def progress(position: int, target: int) -> None:
        if position >= 30 and not killing:
            killing.append(asyncio.create_task(kill(position, target)))

    lost = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
    with pytest.raises(lost):
        while True:  # until the kill has met it
            await rebuild(database_url, "balances", progress=progress)
    live = await state_root(pool, "balances")
    result = await rebuild(database_url, "balances")
    assert result.state.root == live.root
    assert len(await tables(owner, "balances")) == 1


async def test_rows_that_memory_has_forgotten_are_read_back(
    traffic: Traffic, pool, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuilding.source.PAGE_EVENTS", 7)
    monkeypatch.setattr("projections.rebuilding.filling.ROWS_MAX", 2)
    await traffic.play(60)
    await catch_up()
    live = {name: (await state_root(pool, name)).root for name in NAMES}

    done = await rebuild_all(database_url, NAMES, How())

    assert {one.state.name: one.state.root for one in done} == live
    assert all(one.swapped and not one.differences.rows for one in done)


async def test_a_killed_rebuild_is_gone_on_with(
    traffic: Traffic, pool, owner, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuilding.source.PAGE_EVENTS", 10)
    monkeypatch.setattr("projections.rebuilding.filling.ROWS_MAX", 4)
    await traffic.play(60)
    await catch_up()

    def die(position: int, _: int) -> None:
        if position >= 100:
            raise ConnectionError

    for _ in range(2):  # dying again does not lose what was there
        with pytest.raises(ConnectionError):
            await rebuild(database_url, "job_status", How(resume=True), progress=die)
    await traffic.play(10)
    await catch_up()
    done = await rebuild(database_url, "job_status", How(resume=True))
    assert 0 < done.resumed_at <= 100
    assert (done.swapped, done.state.version) == (True, 2)
    assert (await state_root(pool, "job_status")).root == (await build(LogReader(pool), "job_status", 10**9))[
        0
    ].root
    assert len(await tables(owner, "job_status")) == 1


async def test_a_cancelled_rebuild_leaves_nothing(
    traffic: Traffic, owner, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuilding.source.PAGE_EVENTS", 10)
    monkeypatch.setattr("projections.rebuilding.filling.ROWS_MAX", 4)
    await traffic.play(30)
    await catch_up()

    def cancel(position: int, _: int) -> None:
        if position >= 50:
            rebuilding.cancel()

    rebuilding = asyncio.create_task(rebuild_all(database_url, NAMES, How(), progress=cancel))
    with pytest.raises(asyncio.CancelledError):
        await rebuilding
    for name in NAMES:
        assert await versions(owner, name) == [(1, True)]
        assert await tables(owner, name) == {f"{name}_v1"}


async def test_of_several_only_those_that_are_right_are_swapped(
    traffic: Traffic, pool, owner, catch_up, database_url
):
    await traffic.play(30)
    await catch_up()
    await owner.execute("UPDATE balances_v1 SET terms = 'x', charged = charged + 1 WHERE account = 'a1'")
    wrong = await state_root(pool, "balances")
    charged = await owner.fetchval("SELECT charged FROM balances WHERE account = 'a1'")

    balances, jobs = await rebuild_all(database_url, ["balances", "job_status"], How())

    assert (balances.swapped, jobs.swapped) == (False, True)
    assert balances.live is not None and balances.live.root == wrong.root != balances.state.root
    shown = [(one.key, one.column, one.live, one.rebuilt) for one in balances.differences.shown]
    assert shown == [("a1", "charged", charged, charged - 1), ("a1", "terms", "x", "1")]
    assert await versions(owner, "balances") == [(1, True)]

    (checked,) = await rebuild_all(database_url, ["job_status"], How(check=True))
    assert (checked.swapped, checked.live) == (False, msgspec.structs.replace(checked.state, version=2))
    assert await versions(owner, "job_status") == [(2, True)]


async def test_dependent_views_follow_the_swap(traffic: Traffic, pool, owner, catch_up, database_url):
    await owner.execute("CREATE VIEW rich AS SELECT account FROM balances WHERE balance > 0")
    await traffic.play(10)
    await catch_up("balances")
    await rebuild(database_url, "balances")
    await owner.execute("UPDATE balances_v2 SET balance = 0")
    assert await owner.fetch("SELECT * FROM rich") == []


async def test_progress_is_told(traffic: Traffic, catch_up, database_url, ledger):
    await traffic.play(20)
    await catch_up("balances")
    told: list[tuple[int, int]] = []
    await rebuild(database_url, "balances", progress=lambda *at: told.append(at))
    head = await ledger.read.head()
    assert told[-1] == (head.position, head.position)


async def test_an_empty_projection_can_be_rebuilt(database_url):
    assert (await rebuild(database_url, "balances")).state.rows == 0


async def test_an_unknown_name(database_url):
    with pytest.raises(NoSuchProjection, match="balances"):
        await rebuild(database_url, "balance")
