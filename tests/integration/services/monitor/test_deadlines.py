"""Past its deadline a job fails and is refunded exactly once, whoever else is at it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from events.job import Video
from ledger import commands as c
from ledger.errors import LedgerUnavailableError
from ledger.log.ledger import Ledger
from services.monitor.deadlines import DeadlineSweep, Swept
from tests.integration.services.maintenance.conftest import count, overdue
from tests.support.order_fixture import OrderFixture
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


async def test_an_overdue_job_is_failed_and_refunded(
    studio: OrderFixture, ledger: Ledger, pool: "Pool"
) -> None:
    order = await overdue(studio, 2)
    fresh = await studio.order(order.seller)
    sweep = DeadlineSweep(ledger, pool)
    assert await sweep.run_once() == Swept(found=2, failed=2)
    assert await sweep.run_once() == Swept()
    assert (await ledger.read.account(order.seller.account)).balance == 99
    job = await ledger.read.job(order.jobs[0])
    assert job.outcome == "failed" and job.failure is not None and job.failure.error_class == "timeout"
    assert (await ledger.read.job(fresh.jobs[0])).outcome == ""


async def test_two_monitors_refund_once(studio: OrderFixture, pool: "Pool", database_url: str) -> None:
    order = await overdue(studio, 20)
    async with Ledger(database_url, pool) as one, Ledger(database_url, pool) as other:
        swept = await asyncio.gather(
            *(DeadlineSweep(ledger, pool).run_once() for ledger in (one, other, one, other))
        )
    assert max(found.found for found in swept) == 20
    assert await count(pool, "JobFailed") == await count(pool, "CreditsRefunded") == 20
    assert (await studio.ledger.read.account(order.seller.account)).balance == 100


async def test_racing_a_success_the_seller_has_a_video_or_the_credit(
    studio: OrderFixture, pool: "Pool", database_url: str
) -> None:
    """Never the charge without a video; a video beside the refund only as a gift."""
    order = await overdue(studio, 30, submitted=True)
    video = Video("videos/v.mp4", "0" * 64, 1)
    async with Ledger(database_url, pool) as one, Ledger(database_url, pool) as other:
        worker = studio.ledger
        successes = [
            worker.execute(c.SucceedJob(job, 1, 1, video), key=f"succeed:{job}:1") for job in order.jobs
        ]
        sweeps = [DeadlineSweep(ledger, pool).run_once() for ledger in (one, other)]
        await asyncio.gather(*sweeps, *successes)
    refunded = 0
    for job in order.jobs:
        types = [event.type for event in await worker.read.stream(f"job-{job}")]
        ends = [name for name in types if name in ("JobSucceeded", "JobFailed", "VideoGifted")]
        assert ends in (["JobSucceeded"], ["JobFailed", "VideoGifted"])
        refunded += ends[0] == "JobFailed"
    assert await count(pool, "CreditsRefunded") == refunded
    assert (await worker.read.account(order.seller.account)).balance == 70 + refunded
    assert not await pool.fetch("SELECT * FROM audit.chain_breaks")


async def test_a_backlog_of_a_thousand_is_worked_through(
    studio: OrderFixture, ledger: Ledger, pool: "Pool"
) -> None:
    seller = await studio.seller(credits=1000)
    await asyncio.gather(*(studio.order(seller, 50, deadline_s=1) for _ in range(20)))
    await asyncio.sleep(1.01)
    async with asyncio.timeout(60):
        swept = await DeadlineSweep(ledger, pool, page_jobs=300).run_once()
    assert swept == Swept(found=1000, failed=1000)
    assert (await ledger.read.account(seller.account)).balance == 1000
    assert await pool.fetchval("SELECT count(*) FROM open_jobs") == 0


async def test_jobs_that_cannot_be_failed_do_not_hide_the_others(
    studio: OrderFixture, ledger: Ledger, pool: "Pool", database_url: str
) -> None:
    """More of them than fit on a page, all older than the one that can be helped."""
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "INSERT INTO open_jobs SELECT 'ghost-' || n, 'nobody', n, n FROM generate_series(1, 7) n"
    )
    await owner.close()
    order = await overdue(studio)
    sweep = DeadlineSweep(ledger, pool, page_jobs=3)
    assert await sweep.run_once() == Swept(found=8, failed=1, stuck=7)
    assert await sweep.run_once() == Swept(found=7)  # left alone for a minute, so that the log is not flooded
    assert (await ledger.read.account(order.seller.account)).balance == 100


async def test_a_job_that_cannot_be_read_is_still_refunded(
    studio: OrderFixture, pool: "Pool", database_url: str
) -> None:
    """As if a later version had written an event that this one does not know."""
    order = await overdue(studio, submitted=True)
    owner = await asyncpg.connect(database_url)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET type = 'FromTheFuture' WHERE type = 'JobStarted'")
    await owner.execute("ALTER TABLE events ENABLE TRIGGER ALL")
    await owner.close()
    async with Ledger(database_url, pool) as ledger:
        assert (await ledger.read.job(order.jobs[0])).broken
        assert (await DeadlineSweep(ledger, pool).run_once()).failed == 1
        assert (await ledger.read.account(order.seller.account)).balance == 100


async def test_a_postgres_that_is_away_is_said_and_the_next_sweep_goes_on(
    studio: OrderFixture, ledger: Ledger, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    await overdue(studio, 3)
    sweep = DeadlineSweep(ledger, pool)

    async def away(*_: object, **__: object) -> None:
        raise LedgerUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "execute", away)
        with pytest.raises(LedgerUnavailableError):
            await sweep.run_once()
    assert await sweep.run_once() == Swept(found=3, failed=3)


async def test_the_process_needs_postgres_alone(
    studio: OrderFixture, ledger: Ledger, tmp_path: Path, database_url: str
) -> None:
    """No REDIS_URL at all, no worker, no projector."""
    service = ServiceProcess("monitor", tmp_path, {"DATABASE_URL": database_url, "LOG_FORMAT": "json"})
    await asyncio.to_thread(service.start, wait_s=60)
    try:
        order = await overdue(studio)

        async def refunded() -> bool:
            return (await ledger.read.account(order.seller.account)).balance == 100

        await eventually(refunded)
        assert await asyncio.to_thread(service.stop) == 0
    finally:
        service.kill()
