"""A failed job that is made again: the log, the books, the read model and the auditor's views agree."""

from typing import TYPE_CHECKING

import asyncpg
import pytest

from events.job import Failure, Video
from ledger import commands as c
from ledger.errors import AlreadyRequeuedError
from ledger.log.ledger import Ledger
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.verify.run import check_ledger

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

VIDEO = Video("videos/v.mp4", "ab" * 32, 1234)
POISON = Failure("poison", "crashes")


async def _failed_job(ledger: Ledger, credits: int = 5) -> None:
    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open")
    await ledger.execute(c.AcceptTerms("a", "1", credits), key="terms")
    await ledger.execute(
        c.OrderVideos("a", "o", ("j",), 2, "m", "ugc", "photos/p.jpg", "b", "ru", 900), key="order:o"
    )
    await ledger.execute(c.FailJob("j", "a", "operator", POISON), key="fail:j")


def _requeue(job: str, as_job: str, price: int) -> c.RequeueJob:
    return c.RequeueJob(job, "a", as_job, price, "m", 900, "mended", "login:neurocards_operator")


async def _succeed(ledger: Ledger, job: str) -> None:
    await ledger.execute(c.StartJob(job, 1, "w"), key=f"start:{job}")
    await ledger.execute(c.RecordPrompt(job, 1, "t", "openai", "ugc@1"), key=f"prompt:{job}")
    await ledger.execute(c.IntendSubmission(job, 1, 1, "k", "m"), key=f"intend:{job}")
    await ledger.execute(c.RecordAccepted(job, 1, f"task-{job}"), key=f"accept:{job}")
    await ledger.execute(c.SucceedJob(job, 1, 1, VIDEO), key=f"succeed:{job}")


async def _nothing_is_wrong(ledger: Ledger, pool: "Pool") -> None:
    events = await ledger.read.events_after(0)
    for projection in PROJECTIONS.values():
        assert (await Runner(pool, projection).apply(events)).position == len(events)
    assert await check_ledger(pool) == []
    for view in ("double_outcomes", "unrefunded_failures", "overdrafts", "chain_breaks"):
        assert await pool.fetch(f"SELECT * FROM audit.{view}") == [], view
    assert await pool.fetchval("SELECT sum(balance) FROM audit.trial_balance") == 0


@pytest.mark.parametrize("price", [0, 2])
@pytest.mark.parametrize("succeeds", [True, False])
async def test_it_is_a_job_of_its_own(ledger: Ledger, pool: "Pool", price: int, succeeds: bool) -> None:
    await _failed_job(ledger)
    await ledger.execute(_requeue("j", "k", price), key="requeue:j")
    assert [job.job for job in await ledger.read.open_jobs()] == ["k"]
    assert (await ledger.read.account("a")).balance == 5 - price
    if succeeds:
        await _succeed(ledger, "k")
    else:
        await ledger.execute(c.FailJob("k", "a", "operator", POISON), key="fail:k")
    assert await ledger.read.open_jobs() == []
    assert (await ledger.read.account("a")).balance == (5 - price if succeeds else 5)
    await _nothing_is_wrong(ledger, pool)
    rows = {row["job"]: row for row in await pool.fetch("SELECT * FROM job_status")}
    assert (rows["j"]["requeued_as"], rows["k"]["requeue_of"]) == ("k", "j")


async def test_twice_is_once(ledger: Ledger, pool: "Pool") -> None:
    await _failed_job(ledger)
    first = await ledger.execute(_requeue("j", "k", 0), key="requeue:j")
    assert await ledger.execute(_requeue("j", "k", 0), key="requeue:j") == first
    with pytest.raises(AlreadyRequeuedError):
        await ledger.execute(_requeue("j", "l", 0), key="requeue:j:again")
    await ledger.execute(c.FailJob("k", "a", "operator", POISON), key="fail:k")
    await ledger.execute(_requeue("k", "l", 0), key="requeue:k")  # the newest one may be, if it fails too
    assert [job.job for job in await ledger.read.open_jobs()] == ["l"]
    await _nothing_is_wrong(ledger, pool)
