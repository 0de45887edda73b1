"""A system to be measured: relay and workers as real processes, and a shop that orders.

KIE and OpenAI are the sandbox, in this process, where every call is counted.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web

from events.codec import decode
from events.job import JobStarted
from events.stream_names import job_of
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from services.accounts.personal_data import PersonalData
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.blob_stores import open_blobs
from services.platform.blobs import one_chunk
from services.platform.database import create_pool
from services.platform.settings import load_settings
from services.sandbox import kie, openai
from services.sandbox.app import Clock, Context
from tests.bench.shop import PHOTO, Shop
from tests.support.outside import outside, photo
from tests.support.servers import OPERATOR
from tests.support.services import ServiceProcess, Services, services_in
from tests.support.waiting import eventually

FOR_EVER_S = 3600

UNLIMITED = {"KIE_CREATIONS_PER_10_S": 100_000, "USER_IN_FLIGHT_MAX": 10_000}


class Calls:
    """When the provider was called, by the call's name and the key."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], list[float]] = {}

    def counted(self, ctx: Context) -> list[web.RouteDef]:
        return [self._count(route) for route in kie.routes(ctx)]

    def most(self, call: str, within_s: float, since: float) -> int:
        """The largest number of calls with one key in any stretch of so many seconds."""
        most = 0
        for (name, _), all_times in self.at.items():
            times = [at for at in all_times if at >= since and name == call]
            first = 0
            for last, at in enumerate(times):
                while times[first] <= at - within_s:
                    first += 1
                most = max(most, last - first + 1)
        return most

    def mean_per_s(self, call: str, since: float) -> float:
        """Calls per second with one key, of those keys that were used."""
        found = [
            sum(at >= since for at in times) / (time.monotonic() - since)
            for (name, _), times in self.at.items()
            if name == call
        ]
        return sum(found) / len(found) if found else 0.0

    def _count(self, route: web.RouteDef) -> web.RouteDef:
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = route.handler

        async def handle(request: web.Request) -> web.StreamResponse:
            call = (route.path.rpartition("/")[2], request.headers.get("Authorization", ""))
            self.at.setdefault(call, []).append(time.monotonic())
            return await handler(request)

        return web.RouteDef(route.method, route.path, handle, route.kwargs)


class Bench:
    """A relay, a shop, and workers when wanted. `base` is the position before its first order."""

    def __init__(
        self,
        services: Services,
        pool: "asyncpg.Pool[asyncpg.Record]",
        shop: Shop,
        calls: Calls,
        base: int,
    ) -> None:
        self.services = services
        self.pool = pool
        self.shop = shop
        self.calls = calls
        self.base = base

    async def worker(self, name: str = "worker", **env: Any) -> ServiceProcess:
        return await asyncio.to_thread(lambda: self.services.start("worker", name=name, **env))

    async def until(self, event: str, count: int) -> None:
        """Until orders have led to so many events of the type."""

        async def there() -> bool:
            sql = "SELECT count(*) FROM events WHERE type = $1 AND position > $2"
            return int(await self.pool.fetchval(sql, event, self.base)) >= count

        await eventually(there, 300, interval_s=0.5, what=f"{count} {event}")

    async def now_us(self) -> int:
        now_us = await self.pool.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(now_us)

    async def starts(self, after_us: int = 0) -> list[tuple[str, JobStarted, int]]:
        """The job, the start and its time, of all starts from then on."""
        events = await LogReader(self.pool).events_after(self.base, 1_000_000)
        return [
            (job_of(event.stream) or "", started, event.recorded_at_us)
            for event in events
            if event.recorded_at_us >= after_us and isinstance(started := decode(event), JobStarted)
        ]


@asynccontextmanager
async def bench_system(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, folder: Path, **env: Any
) -> AsyncIterator[Bench]:
    """The processes that make videos, beside a provider that never finishes one. `env` is for all of them."""
    calls = Calls()
    async with AsyncExitStack() as stack:
        modules = {"/kie": calls.counted, "/openai": openai.routes}
        sandbox = await stack.enter_async_context(outside(modules, clock=Clock()))
        sandbox.turn(render_seconds=FOR_EVER_S, small_videos=True, rate_limit=0)
        settings = load_settings(
            database_url=postgres.url(user=OPERATOR),
            redis_url=valkey.url(),
            data_dir=folder,
            log_level="warning",
        )
        common = {
            "DATABASE_URL": postgres.url(user=OPERATOR),
            "REDIS_URL": valkey.url(),
            "NEUROCARDS_DATA_DIR": folder,
            "SANDBOX_URL": sandbox.url,
            "KIE_POLL_SECONDS": 5,
            "LOG_LEVEL": "warning",
        }
        pool = await stack.enter_async_context(await create_pool(settings, "bench"))
        ledger = await stack.enter_async_context(Ledger(postgres.url(user=OPERATOR), pool))
        await open_blobs(settings).put(PHOTO, one_chunk(photo(600, 800)), size_bytes_max=10_000_000)
        shop = Shop(ledger, PersonalData(pool))
        await shop.open()
        services = stack.enter_context(services_in(folder, common | env))
        await asyncio.to_thread(lambda: services.start("relay"))
        base = (await LogReader(pool).head()).position
        yield Bench(services, pool, shop, calls, base)
