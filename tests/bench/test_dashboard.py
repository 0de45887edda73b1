"""Server time of every page of the dashboard, and what its process holds.

BENCH_EVENTS sets the length of the log: 1,000,000 unless it says otherwise, 10,000,000 for the figures in
docs/performance.md. Each page is asked by one reader, again and again; the process is the benchmark's own.
"""

import os
import time

import aiohttp
import asyncpg
import pytest
import uvloop

from ledger.log.ledger import Ledger
from services.platform.settings import load_settings
from tests.bench.figures import Run, show
from tests.bench.load import rss_mb
from tests.support.big_pages import addresses, fill_pages
from tests.support.dashboard import open_pages

pytestmark = [pytest.mark.bench, pytest.mark.timeout(7200)]

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
ASKED = 40


def test_dashboard(durable_url: str) -> None:
    uvloop.run(measure(durable_url))


async def measure(url: str) -> None:
    log = await fill_pages(url, EVENTS)
    rounds: list[list[tuple[object, ...]]] = []
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=4) as pool,
        Ledger(url, pool) as ledger,
        open_pages(pool, ledger, load_settings(database_url=url)) as opened,
        aiohttp.ClientSession(opened.make_url("/")) as client,  # a TestClient keeps every answer
    ):
        for _ in range(3):
            rows: list[tuple[object, ...]] = []
            for address in addresses():
                latencies: list[float] = []
                for _ in range(ASKED):
                    began = time.perf_counter()
                    response = await client.get(address)
                    size = len(await response.read())
                    latencies.append(time.perf_counter() - began)
                    assert response.status in (200, 409, 410), address  # a form may refuse, a link be used
                run = Run(sum(latencies), latencies)
                rows.append((address, size, run.percentile_ms(50), run.percentile_ms(95)))
            rounds.append([*rows, ("MB after the round", "", "", rss_mb(os.getpid()))])
    show(
        f"Pages of the dashboard, {log.events:,} events, asked {ASKED} times, the last of three rounds",
        ("page", "bytes", "p50 ms", "p95 ms"), [*rounds[-1], *(rows[-1] for rows in rounds[:-1])],
    )  # fmt: skip
