"""The real processes: a sandbox that notifies, `serve web`, `serve maintenance`; no Redis anywhere."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.adapters.yookassa.gateway import YooKassa
from services.local.processes import free_port
from services.payments.orders import PaymentOrders
from services.payments.yookassa import YooKassaPayments
from services.platform.settings import load_settings
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

pytestmark = pytest.mark.slow


class Street:
    """A buyer's way to the sandbox; the web process and maintenance are others'."""

    def __init__(
        self, desk: YooKassaPayments, url: str, http: aiohttp.ClientSession, env: dict[str, Any]
    ) -> None:
        self.desk = desk
        self.env = env
        self._url = url
        self._http = http

    async def paid(self) -> str:
        """A payment that the buyer has paid, and nobody has asked about."""
        payment = await self.desk.orders.order("a", "credits-5", "yookassa", locale="ru")
        view = await self.desk.make(payment)
        assert view.confirmation_url
        form = {"action": "pay"}
        async with self._http.post(view.confirmation_url, data=form, allow_redirects=False) as reply:
            assert reply.status == 303
        return payment

    async def silence(self) -> None:
        """No notifications from here on."""
        async with self._http.post(f"{self._url}/__sandbox/settings", json={"yookassa_events": []}) as reply:
            assert reply.status == 200

    async def balance(self) -> int:
        return (await self.desk.orders.ledger.read.account("a")).balance


@pytest.fixture
async def street(database_url: str, ledger: Ledger, pool: "Pool", tmp_path: Path) -> AsyncIterator[Street]:
    env = {"DATABASE_URL": database_url, "SANDBOX_PORT": 0, "WEB_PORT": free_port("127.0.0.1")}
    sandbox = ServiceProcess("sandbox", tmp_path, env).start()
    url = str(sandbox.facts["sandbox_url"])
    settings = load_settings(database_url=database_url, sandbox_url=url)
    await pool.execute("INSERT INTO accounts (account, telegram_id) VALUES ('a', 1)")
    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")
    await ledger.execute(c.AcceptTerms("a", "1", 0), key="terms:a")
    async with YooKassa(settings) as shop, aiohttp.ClientSession() as http:
        desk = YooKassaPayments(PaymentOrders(settings, ledger, pool), shop)
        yield Street(desk, url, http, env | {"SANDBOX_URL": url})
    sandbox.stop()


async def test_the_web_process_credits_what_the_sandbox_tells_it(street: Street, tmp_path: Path):
    web = ServiceProcess("web", tmp_path, street.env).start()
    await street.paid()

    async def credited() -> bool:
        return await street.balance() == 5

    await eventually(credited)
    assert web.stop() == 0


async def test_maintenance_credits_what_nobody_told_and_compares(
    street: Street, pool: "Pool", tmp_path: Path
):
    await street.silence()
    payment = await street.paid()
    await pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    maintenance = ServiceProcess("maintenance", tmp_path, street.env).start()

    async def settled() -> bool:
        compared = await pool.fetchval(
            "SELECT count(*) FROM payment_comparisons WHERE provider = 'yookassa' AND ended_at IS NOT NULL"
        )
        return await street.balance() == 5 and compared == 1

    await eventually(settled, what=lambda: maintenance.log)
    view = await street.desk.orders.view(payment)
    assert view is not None and view.standing == "paid"
    assert await pool.fetchval("SELECT count(*) FROM payment_differences") == 0
    assert maintenance.stop() == 0
