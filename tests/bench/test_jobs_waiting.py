"""What 2,000 jobs that wait cost one worker process, and how soon others take over from one that is gone."""

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from tests.bench.figures import show
from tests.bench.load import cpu_s, rss_mb
from tests.bench.system import UNLIMITED, Bench, bench_system
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.bench

WAITING = 2_000
WATCHED_S = 30.0
HELD = 60


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
    async with bench_system(durable, own_valkey, tmp_path, WORKER_SLOTS=WAITING, **env) as bench:
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
    async with bench_system(durable, own_valkey, tmp_path, **UNLIMITED) as bench:
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
