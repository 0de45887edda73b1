"""Promise 7: A user always hears back.

Within the job's deadline plus one minute, even if every worker, Redis and every projection is dead. (Where
no two clocks agree, everything waits, with an alarm: the one exception.)
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from services.adapters.telegram.limits import TelegramLimits
from services.monitor.job_deadlines import DeadlineSweep, Swept
from services.notifier.log_consumer import LogConsumer
from services.platform.redis import command_client
from services.platform.settings import Settings
from tests.integration.services.maintenance.conftest import count, overdue
from tests.integration.services.notifier import conftest as notifying
from tests.integration.services.notifier.conftest import FAST, NewNotifier, Notifier
from tests.support.order_fixture import OrderFixture
from tests.support.services import ServiceProcess
from tests.support.telegram import ScriptedTelegram
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

# With Telegram in this process; the others' fixtures have none.
new_notifier, notifier, telegram = notifying.new_notifier, notifying.notifier, notifying.telegram
pool, settings, studio = notifying.pool, notifying.settings, notifying.studio


NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""


@pytest.mark.slow
async def test_deadlines_are_refunded_with_nothing_but_postgres(
    studio: OrderFixture, pool: "Pool", ledger: Ledger, database_url: str, tmp_path: Path
) -> None:
    order = await studio.order(await studio.seller(), 3, deadline_s=1)
    before = (await ledger.read.account(order.seller.account)).balance
    env = {
        "DATABASE_URL": database_url,
        "BOT_TOKEN": "malformed",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "KIE_API_KEYS": "key",
        "YOOKASSA_SECRET_KEY": "key",
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "SANDBOX_URL": NOWHERE,
    }
    monitor = ServiceProcess("monitor", tmp_path, env).start()

    async def refunded() -> bool:
        return await count(pool, "CreditsRefunded") == 3

    await eventually(refunded, what=lambda: monitor.log)
    assert (await ledger.read.account(order.seller.account)).balance > before
    assert not await ledger.read.open_jobs()
    assert monitor.health().status_code == 200
    assert monitor.stop() == 0


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


async def test_without_redis_everyone_still_hears(
    studio: OrderFixture, settings: Settings, new_notifier: NewNotifier, telegram: ScriptedTelegram
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller, status_message=telegram.place(seller.chat_id))
    await studio.finish(order.jobs[0])
    notifier = new_notifier()
    gone = command_client(settings.model_copy(update={"redis_url": "redis://127.0.0.1:9/0"}))
    notifier.feed._redis = gone
    limits = TelegramLimits(gone, FAST)
    notifier.sender._limits = notifier.editor._limits = limits
    await asyncio.wait_for(notifier.run(), 60)
    await notifier.follow()
    await gone.aclose()
    assert [shown.video for shown in telegram.of(seller.chat_id) if shown.video] == [b"mp4 bytes"]
    assert order.status_message is not None
    assert telegram.message(seller.chat_id, order.status_message).edits == 1


async def test_the_follower_needs_no_projection(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, database_url: str
) -> None:
    seller = await studio.seller(credits=3)
    order = await studio.order(seller)
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "DROP VIEW balances, job_status, payments CASCADE;"
        "DROP TABLE balances_v1, job_status_v1, payments_v1 CASCADE"
    )
    await owner.close()
    assert isinstance(notifier.follower, LogConsumer)
    await studio.fail(order, order.jobs[0])
    await notifier.run()
    assert "3" in telegram.sent(seller.chat_id)[0].text
