"""Promise 6: State is a function of the log.

Any projection, dropped and rebuilt, is equal to the live one at the same position. (Sentences of the
outside are joined when read and are not part of it.)
"""

import asyncio

import pytest

from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from projections.engine.registry import PROJECTIONS
from projections.engine.state_root import build
from projections.rebuild.run import rebuild
from tests.integration.projections.conftest import bring_up, tables, versions, view_equals_log
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic


async def test_rows_are_what_the_fold_says_at_every_cut(traffic: Traffic, pool, catch_up, ledger):
    await traffic.play(40)
    head = await ledger.read.head()
    for up_to in (*range(1, head.position, 17), head.position):
        await catch_up(up_to=up_to)
        for name in PROJECTIONS:
            assert await view_equals_log(pool, name), (name, up_to)
    for name in PROJECTIONS:
        root = await state_root(pool, name)
        assert root.cursor == head and root.rows > 0, name


NAMES = ["balances", "job_status", "daily"]


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
    monkeypatch.setattr("projections.rebuild.fill.PAGE_EVENTS", 20)
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
