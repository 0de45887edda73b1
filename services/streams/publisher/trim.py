"""Trim both streams by hand; the relay does so every few seconds.

`ledger` is cut to a number of entries: older events are in Postgres. `jobs` is cut below the oldest
unfinished job: that position only grows, so a job queued between the question to Postgres and the cut is
never touched.
"""

from typing import Any, cast

import msgspec

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.platform.redis_keys import JOBS, LEDGER
from services.streams.entries import entry_id
from services.streams.publisher.scripts import Scripts

query = load_queries("services.streams.publisher")

STEP_ENTRIES = 100_000
"""Removed at once: a server that removes millions answers nobody meanwhile."""
_PAGE = 1000


class Cut(msgspec.Struct, frozen=True):
    stream: str
    entries: int
    removed: int
    stays: str


async def plan(scripts: Scripts, pool: Pool, entries: int) -> tuple[Cut, Cut]:
    """What a trim to `entries` would remove of both streams."""
    length = await scripts.redis.xlen(LEDGER)
    lowest = int(await pool.fetchval(query("lowest_unfinished")))
    older = await _count_below(scripts, lowest)
    return (
        Cut(LEDGER, length, max(length - entries, 0), f"the newest {entries}"),
        Cut(JOBS, await scripts.redis.xlen(JOBS), older, f"from {lowest} on; older jobs have all ended"),
    )


async def trim(scripts: Scripts, pool: Pool, entries: int) -> tuple[int, int]:
    """Trim; entries removed of `ledger` and of `jobs`."""
    removed = 0
    length = await scripts.redis.xlen(LEDGER)
    while length > entries:
        length = max(length - STEP_ENTRIES, entries)
        removed += await scripts.trim_ledger(length)
    lowest = int(await pool.fetchval(query("lowest_unfinished")))
    return removed, await scripts.trim_jobs(lowest)


async def _count_below(scripts: Scripts, lowest: int) -> int:
    found, after = 0, "-"
    while lowest and (page := await _page(scripts, after, f"({entry_id(lowest)}")):
        found += len(page)
        after = "(" + page[-1][0].decode()
    return found


async def _page(scripts: Scripts, after: str, before: str) -> list[tuple[bytes, Any]]:
    return cast(Any, await scripts.redis.xrange(JOBS, after, before, count=_PAGE)) or []
