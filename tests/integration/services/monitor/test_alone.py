"""Played with the real process: a malformed bot token, no Redis, no other network; deadlines are refunded."""

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from tests.integration.services.maintenance.conftest import count
from tests.support.order_fixture import OrderFixture
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""


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
