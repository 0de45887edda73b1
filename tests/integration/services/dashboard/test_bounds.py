"""No page reads without bound: at 200,000 events at most 2,000 rows, and no large table from end to end.

Rows are those that Postgres itself counts as read, by scans of tables and indexes, also within functions.
"""

import re

import asyncpg

from ledger.log.ledger import Ledger
from services.platform.settings import Settings
from tests.support.big_pages import addresses, fill_pages
from tests.support.dashboard import Client, open_pages

EVENTS = 200_000
ROWS_MAX = 2000
ASKED = 7
"""Postgres chooses a plan for all arguments at the sixth time."""
SAID = {200, 302, 404, 409, 410}
"""A search leads on (302) or finds nothing (404), a form refuses (409), a link is no longer one (410)."""
LARGE = ("events", "deliveries", "job_status", "job_times", "lots", "payments", "balances")
CROWD = """
INSERT INTO open_jobs SELECT job, account, position, 1 FROM job_status LIMIT 5000 ON CONFLICT DO NOTHING;
UPDATE job_status
SET state = 'failed', failure_class = 'provider_balance', requeued_as = '', ended_at_us = queued_at_us
WHERE job IN (SELECT job FROM job_status ORDER BY job DESC LIMIT 5000);
ANALYZE;
"""
"""More that is open, late and parked than a page counts."""
COUNTED = """
SELECT relname, seq_scan, seq_tup_read + coalesce(
    (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid), 0)
FROM pg_stat_user_tables t
"""


async def test_no_page_reads_more_than_its_bound(
    database_url: str, owner: asyncpg.Connection, settings: Settings
) -> None:
    await fill_pages(database_url, EVENTS)
    await owner.execute(CROWD)
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool,
        Ledger(database_url, pool) as ledger,
        open_pages(pool, ledger, settings) as client,
    ):
        for address in addresses():
            read = await rows_read(client, pool, owner, address)
            assert sum(rows for _, rows in read.values()) <= ROWS_MAX, f"{address}: {read}"
            whole = [table for table, (scans, _) in read.items() if scans and model_of(table) in LARGE]
            assert not whole, f"{address} reads these from end to end: {whole}"


def model_of(table: str) -> str:
    """A read model's name, of a version of its table."""
    return re.sub(r"_v\d+$", "", table)


async def rows_read(
    client: Client, pool: asyncpg.Pool, owner: asyncpg.Connection, address: str
) -> dict[str, tuple[int, int]]:
    """Table → scans from end to end, and rows read in all, of one visit."""
    before: dict[str, tuple[int, int]] = {}
    for n in range(ASKED):
        if n == ASKED - 1:
            before = await counted(pool, owner)
        response = await client.get(address, allow_redirects=False)
        text = await response.text()
        assert response.status in SAID, f"{address}: {response.status} {text[:300]}"
    found = {}
    for table, (scans, rows) in (await counted(pool, owner)).items():
        if rows > before[table][1]:
            found[table] = scans - before[table][0], rows - before[table][1]
    return found


async def counted(pool: asyncpg.Pool, owner: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    await pool.execute("SELECT pg_stat_force_next_flush()")
    return {table: (scans, int(rows)) for table, scans, rows in await owner.fetch(COUNTED)}
