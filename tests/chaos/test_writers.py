"""Four processes, 64 callers each, ten accounts, for a while, kill -9 at random."""

import pytest

from ledger.log.ledger import Ledger
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support.killed_writers import WRITERS
from tests.support.killed_writers_audit import survives_killed_writers

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SECONDS = 8


async def test_no_overdraft_no_gap_nothing_lost_nothing_twice(database_url, tmp_path, dice):
    async with (
        await create_pool(load_settings(database_url=database_url), "test") as pool,
        Ledger(database_url, pool) as ledger,
    ):
        writers = await survives_killed_writers(
            ledger, pool, database_url, tmp_path, seconds=SECONDS, seed=dice.randrange(1_000_000)
        )
    assert sum(writer.lives for writer in writers) > 2 * WRITERS, "hardly anybody was killed"
