"""Four processes, 64 callers each, ten accounts, kill -9 at any moment. `make chaos` goes on for longer."""

import pytest

from tests.support.diaries import WRITERS
from tests.support.diaries_audit import survives_killed_writers

SECONDS = 2
SEED = 11


@pytest.mark.slow
async def test_no_overdraft_no_gap_nothing_lost_nothing_twice(ledger, pool, database_url, tmp_path):
    writers = await survives_killed_writers(ledger, pool, database_url, tmp_path, seconds=SECONDS, seed=SEED)
    assert sum(writer.lives for writer in writers) > WRITERS, "nobody was killed"
