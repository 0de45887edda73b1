"""Maintenance keeps the states of accounts with a long history, and nobody else may."""

import asyncio

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.snapshots import EVERY_VERSIONS, keep_snapshots
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support.arena.processes import own_login
from tests.support.fake_clock_ledger import FakeClockLedger, store
from tests.support.services import Services
from tests.support.waiting import eventually


@pytest.fixture
async def long_account(database_url: str) -> str:
    """Its last event is that from which on a snapshot is due."""
    desk = FakeClockLedger()
    desk.open("a")
    while desk.events[-1].version < EVERY_VERSIONS:
        desk.do(c.GrantCredits("a", 1, "manual", f"gift {desk.events[-1].version}"))
    await store(database_url, desk.events)
    return "account-a"


async def test_a_running_maintenance_keeps_it(
    services: Services, pool: "asyncpg.Pool[asyncpg.Record]", database_url: str, long_account: str
) -> None:
    await pool.execute("SELECT ledger.confirm_clock()")  # the log is older than a day
    url = own_login(database_url, "maintenance")
    await asyncio.to_thread(lambda: services.start("maintenance", DATABASE_URL=url))

    async def kept() -> bool:
        rows = await pool.fetch("SELECT stream, version FROM snapshots")
        return [tuple(row) for row in rows] == [(long_account, EVERY_VERSIONS)]

    await eventually(kept, 20)


@pytest.mark.parametrize("service", ["web", "bot", "worker", "monitor"])
async def test_no_other_service_may(database_url: str, long_account: str, service: str) -> None:
    settings = load_settings(database_url=own_login(database_url, service))
    async with await create_pool(settings, "test") as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await keep_snapshots(pool)
