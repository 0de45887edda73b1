"""A process that starts after a day without events waits for a witness, and hears it through the database."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from ledger import commands as c
from ledger.errors import ClockDoubtError
from ledger.log import batch_writer
from ledger.log.clock import wall_us
from ledger.log.ledger import Ledger
from services.platform import process_ledger
from services.platform.process import Runtime
from services.platform.process_ledger import open_ledger, start_ledger
from services.platform.witness import WITNESS
from tests.support.waiting import eventually

DAY_S = 86_400
TRUTH = "INSERT INTO ledger.witnesses SELECT 'neurocards_bot', c, c, 90000000 FROM ledger.clock() AS c"
OLD = "UPDATE ledger.witnesses SET clock_us = clock_us - 91000000, witness_us = witness_us - 91000000"
STARTS = "SELECT count(*) FROM events WHERE type = 'SystemStarted'"


@pytest.fixture
async def a_day_old(ledger, owner, monkeypatch):
    """A log whose only event is over a day old, and no witness in this process."""
    real = await owner.fetchval("SELECT pg_get_functiondef('ledger.clock()'::regprocedure)")
    await owner.execute(
        "CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE AS "
        f"'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - {(DAY_S + 60) * 10**6}'"
    )
    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open")
    await owner.execute(real)
    monkeypatch.setattr(WITNESS, "_seen", {})
    monkeypatch.setattr(batch_writer, "_DOUBT_S", 0.01)
    monkeypatch.setattr(process_ledger, "COMPARE_S", 0.05)


@pytest.mark.usefixtures("a_day_old")
async def test_a_person_s_word_lets_it_start(settings, owner):
    async with Runtime(settings, "monitor") as runtime, AsyncExitStack() as stack:
        opened = start_ledger(settings, runtime)
        starting = asyncio.create_task(stack.enter_async_context(opened))
        await eventually(lambda: "clocks" in {task.get_name() for task in asyncio.all_tasks()})
        async with open_ledger(settings, "operator") as (ledger, _):
            ledger._appender._writer._give_up_s = 0
            with pytest.raises(ClockDoubtError, match="neurocards clock confirm"):
                await ledger.execute(c.AcceptTerms("a", "1", 0), key="terms")
        assert await owner.fetchval(STARTS) == 0
        clock_us = await owner.fetchval("SELECT ledger.confirm_clock()")
        assert abs(clock_us - wall_us()) < 60_000_000
        await starting
        assert await owner.fetchval(STARTS) == 1
        runtime.stop.set()


@pytest.mark.usefixtures("a_day_old")
async def test_who_has_no_network_hears_what_others_told(database_url, pool):
    async with Ledger(database_url, pool) as alone:
        assert (await alone.clocks()).outcome == "gap"
        async with Ledger(database_url, pool, witness=wall_us) as told:
            assert (await told.clocks()).outcome == "ok"
        assert (await alone.clocks()).outcome == "ok"
        await alone.execute(c.AcceptTerms("a", "1", 0), key="terms")


async def test_one_login_that_lies_is_not_heard_while_another_tells_the_truth(database_url, pool, owner):
    """Its own word counts for itself; what was heard is not told on, nor is what is old."""
    async with (
        Ledger(database_url, pool) as alone,
        Ledger(database_url, pool, witness=lambda: wall_us() + DAY_S * 10**6) as liar,
    ):
        assert (await liar.clocks()).outcome == "doubt"
        assert (await alone.clocks()).outcome == "doubt"
        await owner.execute(TRUTH)
        assert (await alone.clocks()).outcome == "ok"
        assert await owner.fetchval("SELECT count(*) FROM ledger.witnesses") == 2
        await owner.execute(OLD)
        clocks = await alone.clocks()
        assert clocks.told_us is None and clocks.witness_us is not None, "carried on, as heard before"
