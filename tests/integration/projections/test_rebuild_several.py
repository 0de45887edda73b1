"""Rebuilding several projections in one pass, in bounded memory; dying, being cancelled, going on."""

import asyncio

import asyncpg
import msgspec
import pytest

from ledger.log.reader import LogReader
from projections.engine.registry import PROJECTIONS
from projections.engine.state_root import build
from projections.rebuild.run import RebuildOptions, rebuild, rebuild_all
from tests.integration.projections.conftest import tables, versions
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic

NAMES = list(PROJECTIONS)


async def test_a_rebuild_that_was_killed_leaves_nothing_behind_that_matters(
    traffic: Traffic, pool, owner, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuild.fill.PAGE_EVENTS", 10)
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
    monkeypatch.setattr("projections.rebuild.fill.PAGE_EVENTS", 7)
    monkeypatch.setattr("projections.rebuild.fill.ROWS_MAX", 2)
    await traffic.play(60)
    await catch_up()
    live = {name: (await state_root(pool, name)).root for name in NAMES}

    done = await rebuild_all(database_url, NAMES, RebuildOptions())

    assert {one.state.name: one.state.root for one in done} == live
    assert all(one.swapped and not one.differences.rows for one in done)


async def test_a_killed_rebuild_is_gone_on_with(
    traffic: Traffic, pool, owner, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuild.fill.PAGE_EVENTS", 10)
    monkeypatch.setattr("projections.rebuild.fill.ROWS_MAX", 4)
    await traffic.play(60)
    await catch_up()

    def die(position: int, _: int) -> None:
        if position >= 100:
            raise ConnectionError

    for _ in range(2):  # dying again does not lose what was there
        with pytest.raises(ConnectionError):
            await rebuild(database_url, "job_status", RebuildOptions(resume=True), progress=die)
    await traffic.play(10)
    await catch_up()
    done = await rebuild(database_url, "job_status", RebuildOptions(resume=True))
    assert 0 < done.resumed_at <= 100
    assert (done.swapped, done.state.version) == (True, 2)
    assert (await state_root(pool, "job_status")).root == (await build(LogReader(pool), "job_status", 10**9))[
        0
    ].root
    assert len(await tables(owner, "job_status")) == 1


async def test_a_cancelled_rebuild_leaves_nothing(
    traffic: Traffic, owner, catch_up, database_url, monkeypatch
):
    monkeypatch.setattr("projections.rebuild.fill.PAGE_EVENTS", 10)
    monkeypatch.setattr("projections.rebuild.fill.ROWS_MAX", 4)
    await traffic.play(30)
    await catch_up()

    def cancel(position: int, _: int) -> None:
        if position >= 50:
            rebuilding.cancel()

    rebuilding = asyncio.create_task(rebuild_all(database_url, NAMES, RebuildOptions(), progress=cancel))
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

    balances, jobs = await rebuild_all(database_url, ["balances", "job_status"], RebuildOptions())

    assert (balances.swapped, jobs.swapped) == (False, True)
    assert balances.live is not None and balances.live.root == wrong.root != balances.state.root
    shown = [(one.key, one.column, one.live, one.rebuilt) for one in balances.differences.shown]
    assert shown == [("a1", "charged", charged, charged - 1), ("a1", "terms", "x", "1")]
    assert await versions(owner, "balances") == [(1, True)]

    (checked,) = await rebuild_all(database_url, ["job_status"], RebuildOptions(check=True))
    assert (checked.swapped, checked.live) == (False, msgspec.structs.replace(checked.state, version=2))
    assert await versions(owner, "job_status") == [(2, True)]
