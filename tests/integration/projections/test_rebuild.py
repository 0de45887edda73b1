"""Rebuilding beside the live table: equal, swapped while in use, and never in anyone's way."""

import asyncio

import pytest

from projections.engine.errors import (
    ProjectionNotFoundError,
    RebuildMismatchError,
    RebuildRunningError,
    SwapTimeoutError,
)
from projections.rebuild.run import RebuildOptions, RebuildResult, rebuild
from tests.integration.projections.conftest import tables, versions
from tests.support.locks import WAITING
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic
from tests.support.waiting import PATIENCE_S, eventually


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

    with pytest.raises(RebuildMismatchError, match="3 rows of balances at position") as found:
        await rebuild(database_url, "balances")
    assert found.value.keys == ("a0", "a1", "zz")
    assert (await state_root(pool, "balances")).version == 1

    result = await rebuild(database_url, "balances", RebuildOptions(accept=lambda *_: True))
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

    rebuilding = asyncio.create_task(rebuild(database_url, "balances", RebuildOptions(swap_timeout_s=300)))
    waits = f"{WAITING} AND mode = 'AccessExclusiveLock' AND relation = 'balances'::regclass"
    await eventually(lambda: pool.fetchval(waits), what="the swap waits for the view")
    async with asyncio.timeout(PATIENCE_S):  # for ever, where the swap waits in front of them
        for _ in range(30):
            await pool.fetch("SELECT * FROM balances WHERE account = 'a0'")
            await asyncio.sleep(0.05)
    assert not rebuilding.done()
    await traffic.play(5)
    await asyncio.wait_for(catch_up("balances"), PATIENCE_S)  # nor does the projector
    assert (
        await owner.fetch("SELECT * FROM balances ORDER BY account") != before
    )  # READ COMMITTED: it goes on

    await reader.commit()
    result = await asyncio.wait_for(rebuilding, PATIENCE_S)
    assert (await state_root(pool, "balances")).version == result.state.version


async def test_a_swap_that_never_gets_the_view_gives_up_and_can_be_repeated(
    traffic: Traffic, pool, owner, catch_up, database_url
):
    await traffic.play(10)
    await catch_up("balances")
    async with owner.transaction():
        await owner.fetch("SELECT * FROM balances")
        with pytest.raises(SwapTimeoutError, match="try again"):
            await rebuild(database_url, "balances", RebuildOptions(swap_timeout_s=0.1))
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
    assert {type(one) for one in both} == {RebuildResult, RebuildRunningError}


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
    with pytest.raises(ProjectionNotFoundError, match="balances"):
        await rebuild(database_url, "balance")
