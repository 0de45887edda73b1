"""The database's clock was ahead once: what it has written is found, and measured."""

import time

import pytest
from pytest import approx

from ledger import commands as c
from ledger.checkpoints.checkpoint import AHEAD_US_MAX
from ledger.log.clock import wall_us
from ledger.log.ledger import Ledger
from projections.verify.run import verify_on
from services.platform.process_ledger import compare_clocks
from services.platform.settings import load_settings
from tests.integration.ledger.conftest import rich
from tests.integration.ledger.tampering import project, turned_clock
from tests.integration.services.maintenance.conftest import metric

DAY_S = 86_400


@pytest.fixture
def ahead(owner):
    """Turns the database's clock; by 0 it is the migration's, which `verify` insists on."""

    async def by(seconds: float) -> None:
        await owner.execute(turned_clock(seconds))

    return by


async def written(database_url: str, pool, ahead, seconds: float) -> None:
    """Three events as they should be, one with a clock ahead that a witness confirms, one after that."""
    async with Ledger(database_url, pool) as ledger:
        await rich(ledger, "a")
    await ahead(seconds)
    async with Ledger(database_url, pool, witness=lambda: wall_us() + round(seconds * 1e6)) as ledger:
        await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="ahead")
    await ahead(0)
    async with Ledger(database_url, pool) as ledger:
        await ledger.execute(c.OpenAccount("b", "0" * 64), key="after")
    await project(pool)


async def test_events_later_than_now_are_found(database_url, pool, owner, ahead):
    await written(database_url, pool, ahead, 400 * DAY_S)
    (problem,) = (await verify_on(owner)).problems
    assert (problem.kind, problem.position) == ("clock", 4)
    assert "2 events from position 4 on" in problem.message
    assert "the database's clock" in problem.message or "machine" in problem.message
    assert "399 days" in problem.message or "400 days" in problem.message
    assert 399 * DAY_S < await measured(database_url, pool) < 401 * DAY_S
    assert metric("clock_ahead_seconds", of="process") == approx(0, abs=5)
    assert metric("clock_in_doubt") == 0


async def test_clocks_that_differ_a_little_are_no_damage(database_url, pool, owner, ahead):
    await written(database_url, pool, ahead, AHEAD_US_MAX / 2e6)
    assert (await verify_on(owner)).problems == []
    assert 0 < await measured(database_url, pool) < AHEAD_US_MAX / 1e6


async def test_the_verifying_machine_tells_of_a_database_whose_clock_is_ahead_still(
    database_url, pool, owner, ahead, monkeypatch
):
    """By the database's clock all is well, and a day behind it is what everybody else has."""
    await written(database_url, pool, ahead, 0)
    assert (await verify_on(owner)).problems == []
    assert await measured(database_url, pool) <= 0
    now_s = time.time
    monkeypatch.setattr(
        "projections.verify.invariants.log_time.time.time_ns", lambda: int((now_s() - DAY_S) * 1e9)
    )
    (problem,) = (await verify_on(owner)).problems
    assert (problem.kind, problem.position) == ("clock", 1)
    assert "the machine that verifies" in problem.message
    await measured(database_url, pool, witness=lambda: wall_us() - 3600 * 10**6)
    assert metric("clock_ahead_seconds", of="process") == approx(DAY_S, abs=60)
    assert metric("clock_ahead_seconds", of="witness") == approx(DAY_S + 3600, abs=60)
    assert metric("clock_in_doubt") == 1


async def test_only_what_came_after_a_place_is_looked_at(database_url, pool, owner, ahead):
    await written(database_url, pool, ahead, 400 * DAY_S)
    async with Ledger(database_url, pool) as ledger:
        head = await ledger.read.head()
    assert [p.kind for p in (await verify_on(owner, after=head)).problems] == []


async def measured(database_url: str, pool, **witness) -> float:
    async with Ledger(database_url, pool, **witness) as ledger:
        await compare_clocks(ledger, load_settings(database_url=database_url))
    return metric("log_ahead_seconds")
