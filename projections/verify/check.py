"""Checks the whole ledger against itself: log, unfinished jobs, read models. One snapshot, this process.

    problems = await check_ledger(pool)     # [] means that everything holds

`projections.verify.run.verify` is the same with a process for each walk and a place to begin at.
"""

from ledger.postgres import Pool
from projections.verify.findings import Problem
from projections.verify.run import verify_on


async def check_ledger(pool: Pool) -> list[Problem]:
    """What is wrong, up to PROBLEMS_MAX; see docs/auditing.md for what is checked."""
    async with pool.acquire() as connection:
        return (await verify_on(connection)).problems
