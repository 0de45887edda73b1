"""What many jobs read and write at the same time is one statement, and each gets its own answer."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.personal_data import Brief, PersonalData
from services.worker.store import JobStore

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def account(ledger: Ledger, pool: "Pool") -> str:
    account = (await PersonalData(pool).account_of(7, "ru")).account
    await ledger.execute(c.OpenAccount(account, "0" * 64), key="open")
    await ledger.execute(c.AcceptTerms(account, "1", 10), key="terms")
    return account


async def test_jobs_are_read_together(ledger: Ledger, pool: "Pool", account: str):
    order = c.OrderVideos(account, "o", ("j1", "j2", "j3"), 1, "m", "ugc", "p", "b", "ru", 900)
    await ledger.execute(order, key="order")
    await ledger.execute(c.StartJob("j2", 1, "w"), key="start")
    door = JobStore(ledger, PersonalData(pool))
    names = ("j3", "j2", "nobody's", "j1", "j2")
    states = await asyncio.gather(*[door.job(job) for job in names])
    assert [state.queued.number if state.queued else None for state in states] == [3, 2, None, 1, 2]
    assert [state.run for state in states] == [0, 1, 0, 0, 1]
    assert [await ledger.read.job(job) for job in names] == states


async def test_one_text_that_cannot_be_kept_keeps_no_other_from_it(
    ledger: Ledger, pool: "Pool", account: str
):
    door = JobStore(ledger, PersonalData(pool))
    await door.keep_text(account, {"product": "mug"}, "t1")
    kept = [
        door.keep_text(account, {"product": "cup"}, "t1"),
        door.keep_text("nobody", {"product": "cup"}, "t2"),
        door.keep_text(account, {"product": "jar"}, "t3"),
        door.keep_text(account, {"product": "jar, again"}, "t3"),
    ]
    outcomes = await asyncio.gather(*kept, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        type(None), asyncpg.ForeignKeyViolationError, type(None), type(None),
    ]  # fmt: skip
    briefs = await asyncio.gather(*[door.brief(ref) for ref in ("t3", "t2", "t1")])
    assert briefs[1:] == [None, Brief("mug")], "what was kept first stays"
    assert briefs[0] in (Brief("jar"), Brief("jar, again"))
