"""What 2,000 jobs that wait cost one worker process, and how soon others take over from one that is gone.

Real processes: relay, workers; KIE and OpenAI are the sandbox, in this process, where every call is counted.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from events.codec import decode
from events.job import JobStarted
from events.streams import job_of
from ledger.log import Ledger
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.sandbox import kie, openai
from services.sandbox.context import Context, WallClock
from services.shared.blobs import one_chunk, open_blobs
from services.shared.database import create_pool
from services.shared.people import People
from services.shared.settings import load_settings
from tests.bench.figures import show
from tests.bench.load import cpu_s, rss_mb
from tests.bench.shop import PHOTO, Shop
from tests.support.outside import outside, photo
from tests.support.services import ServiceProcess, Services, services_in
from tests.support.waiting import eventually

pytestmark = pytest.mark.bench

WAITING = 2_000
WATCHED_S = 30.0
HELD = 60
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
    """A relay, a shop, and workers when wanted."""

    def __init__(self, services: Services, pool: "asyncpg.Pool[asyncpg.Record]", shop: Shop, calls: Calls):
        self.services = services
        self.pool = pool
        self.shop = shop
        self.calls = calls

    async def worker(self, name: str = "worker", **env: Any) -> ServiceProcess:
        return await asyncio.to_thread(lambda: self.services.start("worker", name=name, **env))

    async def until(self, event: str, count: int) -> None:
        """Until the log holds so many events of the type."""

        async def there() -> bool:
            found = await self.pool.fetchval("SELECT count(*) FROM events WHERE type = $1", event)
            return int(found) >= count

        await eventually(there, 300, interval_s=0.5, what=f"{count} {event}")

    async def now_us(self) -> int:
        now_us = await self.pool.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(now_us)

    async def starts(self, after_us: int = 0) -> list[tuple[str, JobStarted, int]]:
        """The job, the start and its time, of all starts from then on."""
        events = await Ledger("", self.pool).read.events_after(0, 1_000_000)
        return [
            (job_of(event.stream) or "", started, event.recorded_at_us)
            for event in events
            if event.recorded_at_us >= after_us and isinstance(started := decode(event), JobStarted)
        ]


@asynccontextmanager
async def _bench(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, folder: Path, **env: Any
) -> AsyncIterator[Bench]:
    calls = Calls()
    async with AsyncExitStack() as stack:
        modules = {"/kie": calls.counted, "/openai": openai.routes}
        sandbox = await stack.enter_async_context(outside(modules, clock=WallClock()))
        sandbox.turn(render_seconds=FOR_EVER_S, small_videos=True, rate_limit=0)
        settings = load_settings(
            database_url=postgres.url(), redis_url=valkey.url(), data_dir=folder, log_level="warning"
        )
        common = {
            "DATABASE_URL": postgres.url(),
            "REDIS_URL": valkey.url(),
            "NEUROCARDS_DATA_DIR": folder,
            "SANDBOX_URL": sandbox.url,
            "KIE_POLL_SECONDS": 5,
            "LOG_LEVEL": "warning",
        }
        pool = await stack.enter_async_context(await create_pool(settings, "bench"))
        ledger = await stack.enter_async_context(Ledger(postgres.url(), pool))
        await open_blobs(settings).put(PHOTO, one_chunk(photo(600, 800)), size_bytes_max=10_000_000)
        shop = Shop(ledger, People(pool))
        await shop.open()
        services = stack.enter_context(services_in(folder, common | env))
        await asyncio.to_thread(lambda: services.start("relay"))
        yield Bench(services, pool, shop, calls)


@pytest.mark.parametrize(
    ("what", "event", "env"),
    [("their videos", "SubmissionAccepted", UNLIMITED), ("their turn to be made", "PromptWritten", {})],
    ids=["rendering", "turns"],
)
async def test_jobs_waiting(
    what: str,
    event: str,
    env: Mapping[str, Any],
    durable: EmbeddedPostgres,
    own_valkey: EmbeddedValkey,
    tmp_path: Path,
) -> None:
    async with _bench(durable, own_valkey, tmp_path, WORKER_SLOTS=WAITING, **env) as bench:
        worker = await bench.worker()
        await bench.shop.order_many(WAITING)
        await bench.until(event, WAITING)
        figures = await _watched(bench, worker)
    show(
        f"One worker process with {WAITING:,} jobs that wait for {what}, over {WATCHED_S:g} s",
        ("CPU of a core", "RSS MB", "reads/s of a key", "most", "creations of a key in 10 s, most"),
        [figures],
    )


async def _watched(bench: Bench, worker: ServiceProcess) -> Sequence[str]:
    await asyncio.sleep(5)  # what was begun with the last order comes to rest
    before_s, since = cpu_s(worker.pid), time.monotonic()
    await asyncio.sleep(WATCHED_S)
    share = (cpu_s(worker.pid) - before_s) / (time.monotonic() - since)
    reads, creations = bench.calls.most("recordInfo", 1, since), bench.calls.most("createTask", 10, since)
    mean = bench.calls.mean_per_s("recordInfo", since)
    return f"{share:.0%}", f"{rss_mb(worker.pid):,.0f}", f"{mean:.1f}", str(reads), str(creations)


async def test_jobs_taken_over(durable: EmbeddedPostgres, own_valkey: EmbeddedValkey, tmp_path: Path) -> None:
    async with _bench(durable, own_valkey, tmp_path, **UNLIMITED) as bench:
        workers = [await bench.worker(f"worker-{n}", WORKER_SLOTS=HELD) for n in range(3)]
        await bench.shop.order_many(HELD)
        await bench.until("SubmissionAccepted", HELD)
        rows = []
        for what, worker in zip(("SIGKILL", "SIGTERM"), workers, strict=False):
            taken_s = await _taken_over(bench, worker, signal.Signals[what])
            rows.append((what, len(taken_s), f"{taken_s[len(taken_s) // 2]:.2f}", f"{taken_s[-1]:.2f}"))
    show(
        "Jobs of a worker that is gone, until others have started them; the lease is 30 s",
        ("signal", "jobs", "half of them, s", "all of them, s"),
        rows,
    )


async def _taken_over(bench: Bench, worker: ServiceProcess, signum: signal.Signals) -> Sequence[float]:
    """Seconds from the signal to each job's next start, sorted."""
    holders: Mapping[str, str] = {job: start.worker for job, start, _ in await bench.starts()}
    theirs = {job for job, holder in holders.items() if holder.split(":")[1] == str(worker.pid)}
    assert theirs, "it holds some"
    began_us = await bench.now_us()
    worker.signal(signum)
    taken_us: dict[str, int] = {}

    async def all_taken() -> bool:
        for job, _, at_us in await bench.starts(began_us):
            taken_us.setdefault(job, at_us)
        return taken_us.keys() >= theirs

    await eventually(all_taken, 120, interval_s=0.2, what="all taken over")
    return sorted((taken_us[job] - began_us) / 1e6 for job in theirs)
