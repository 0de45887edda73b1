"""Notifications of YooKassa at a steady rate: how long the web process takes to answer with 200.

    test process ──POST──▶ serve web ──GET──▶ serve sandbox (answers at once)
                               └──▶ Postgres (durable)

An answer stands for a payment read from the provider and committed with its credits; every third notification
is sent twice at once. Open loop: one is sent when it is due, however slow the ones before it are.
"""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.adapters.yookassa.gateway import YooKassa
from services.generation.callback_urls import YOOKASSA_PATH
from services.local.postgres import EmbeddedPostgres
from services.payments.orders import PaymentOrders
from services.payments.yookassa import YooKassaPayments
from services.platform.database import create_pool
from services.platform.settings import Settings, load_settings
from tests.bench.figures import Figure, Run, board
from tests.bench.load import cpu_s
from tests.support.servers import OPERATOR
from tests.support.services import ServiceProcess

RATE_PER_S = 200
SECONDS = 10
SHARE_TWICE = 3
GENUINE = {"X-Forwarded-For": "185.71.76.5"}

pytestmark = pytest.mark.bench


async def test_notifications(durable: EmbeddedPostgres, tmp_path: Path) -> None:
    env = {
        "DATABASE_URL": durable.url(user=OPERATOR),
        "SANDBOX_PORT": 0,
        "WEB_PORT": 0,
        "LOG_LEVEL": "warning",
    }
    sandbox = ServiceProcess("sandbox", tmp_path, env).start()
    url = str(sandbox.facts["sandbox_url"])
    web = ServiceProcess("web", tmp_path, env | {"SANDBOX_URL": url}).start()
    try:
        settings = load_settings(database_url=durable.url(user=OPERATOR), sandbox_url=url)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await http.post(f"{url}/__sandbox/settings", json={"yookassa_events": []})
            names = await _paid(settings, http, RATE_PER_S * SECONDS)
            used_s = cpu_s(web.pid)
            run = await _told(http, str(web.facts["web_url"]) + YOOKASSA_PATH, names)
            used_s = cpu_s(web.pid) - used_s
        async with await create_pool(settings, "bench") as pool:
            credited = await pool.fetchval("SELECT count(*) FROM events WHERE type = 'PaymentSucceeded'")
            granted = await pool.fetchval(
                "SELECT sum((data ->> 'amount')::bigint) FROM events WHERE data ->> 'kind' = 'purchase'"
            )
        assert (credited, granted) == (len(names), 5 * len(names))
    finally:
        web.stop()
        sandbox.stop()
    what = f"notification → payment read → credits committed → 200, at {RATE_PER_S}/s"
    aim = f"p99 ≤ 50 ms at {RATE_PER_S}/s"
    figure = Figure(what, run.per_s, run.percentile_ms(50), run.percentile_ms(99), aim)
    cost = Figure(
        "CPU of the web process per notification", text=f"{used_s * 1000 / len(run.latencies_s):.2f} ms"
    )
    board("Notifications of YooKassa", {}, [figure, cost])


async def _paid(settings: Settings, http: aiohttp.ClientSession, count: int) -> list[str]:
    """So many payments that are paid, though we do not know; the provider's ids."""
    async with (
        await create_pool(settings, "bench") as pool,
        Ledger(settings.require_database_url(), pool) as ledger,
        YooKassa(settings, free_thread_s=600) as shop,
    ):
        desk = YooKassaPayments(PaymentOrders(settings, ledger, pool), shop)

        async def one(number: int) -> str:
            buyer = f"buyer{number % 100}"
            payment = await desk.orders.order(buyer, "credits-5", "yookassa", locale="ru")
            view = await desk.make(payment)
            assert view.confirmation_url
            page = http.post(view.confirmation_url, data={"action": "pay"}, allow_redirects=False)
            async with page as reply:
                assert reply.status == 303
            return view.provider_payment

        people = "INSERT INTO accounts SELECT 'buyer' || n, n FROM generate_series(0, 99) n"
        await pool.execute(people)
        for number in range(100):
            await ledger.execute(c.OpenAccount(f"buyer{number}", "0" * 64), key=f"open:{number}")
            await ledger.execute(c.AcceptTerms(f"buyer{number}", "1", 0), key=f"terms:{number}")
        return list(await asyncio.gather(*(one(number) for number in range(count))))


async def _told(http: aiohttp.ClientSession, url: str, names: list[str]) -> Run:
    """Each notification when it is due; the time from when it was due to the answer."""
    latencies: list[float] = []
    begin = time.perf_counter() + 0.5

    async def one(number: int, name: str) -> None:
        due = begin + number / RATE_PER_S
        await asyncio.sleep(due - time.perf_counter())
        body = {"type": "notification", "event": "payment.succeeded", "object": {"id": name}}
        async with http.post(url, json=body, headers=GENUINE) as reply:
            assert reply.status == 200
        latencies.append(time.perf_counter() - due)

    twice = [(number, name) for number, name in enumerate(names) if number % SHARE_TWICE == 0]
    await asyncio.gather(*(one(number, name) for number, name in [*enumerate(names), *twice]))
    return Run(time.perf_counter() - begin, latencies)
