"""What people asked of the dashboard, from the command line: listed, and read models rebuilt."""

import asyncio

from projections.engine.registry import PROJECTIONS
from tests.integration.projections.conftest import bring_up
from tests.integration.services.cli.conftest import Run
from tests.support.traffic import Traffic

ASK = "SELECT ledger.request_operation($1, 'rebuild', ARRAY[$2], $3, 0, 'user:u1', 'why')"
DAMAGE = "UPDATE balances_v1 SET balance = balance + 1"


async def test_a_rebuild_tells_its_difference_and_swaps_it_in_when_that_is_accepted(
    run: Run, traffic: Traffic, pool, owner
):
    await traffic.play(10)
    for name in PROJECTIONS:
        await bring_up(pool, name)
    people = await owner.fetchval("SELECT count(*) FROM balances")
    sums = "SELECT sum(balance) FROM balances"
    right = await owner.fetchval(sums)
    await pool.fetchval(ASK, "rebuild-01", "lots", "")
    await owner.execute(DAMAGE)
    await pool.fetchval(ASK, "rebuild-02", "balances", "")
    await pool.fetchval(ASK, "rebuild-03", "nothing", "")
    done = await asyncio.to_thread(run, "operations", "run")
    assert (done.code, "3 operations were carried out" in done.err) == (0, True), done.err
    listed = await asyncio.to_thread(run, "operations", "list", "-o", "json")
    told = {row["operation"]: row for row in listed.rows}
    assert told["rebuild-01"]["told"].startswith("swapped in at position")
    assert "not swapped at position" in told["rebuild-02"]["told"]
    assert f"{people} rows differed" in told["rebuild-02"]["told"]
    assert told["rebuild-03"]["refused"] == [["nothing", "there is no read model 'nothing'"]]
    assert await owner.fetchval(sums) == right + people
    await pool.fetchval(ASK, "rebuild-04", "balances", "accept")
    await asyncio.to_thread(run, "operations", "run")
    assert await owner.fetchval(sums) == right
