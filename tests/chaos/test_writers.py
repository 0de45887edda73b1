"""Four processes, 64 callers each, killed, stopped and cut off at random; two of them on one account."""

import pytest

from ledger.log.ledger import Ledger
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support.killed_writers import WRITERS
from tests.support.killed_writers_audit import survives_killed_writers

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SECONDS = 8


async def test_nothing_is_lost_or_doubled_and_each_gets_its_turn(
    database_url, tmp_path, dice, record_property
):
    async with (
        await create_pool(load_settings(database_url=database_url), "test") as pool,
        Ledger(database_url, pool) as ledger,
    ):
        writers, turns = await survives_killed_writers(
            ledger, pool, database_url, tmp_path, seconds=SECONDS, seed=dice.randrange(1_000_000)
        )
    record_property("two processes on one account", str(turns))
    assert sum(writer.lives for writer in writers) > 2 * WRITERS, "hardly anybody was killed"
    assert turns.soon > 0.95, turns
