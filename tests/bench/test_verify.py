"""Events per second of `neurocards ledger verify`, beside reading them at all, and the memory it takes.

NEUROCARDS_BENCH_EVENTS sets how many; 1 million by default. Memory depends on how many accounts there are and
how many jobs are open at one time, not on how many events.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop

from events.envelope import GENESIS
from ledger.log.reader import LogReader
from ledger.sql import load_queries
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.verify.run import STAGES, WALKS, Database, Stage, verify
from tests.bench import big_log
from tests.bench.figures import show

query = load_queries("projections.verify")

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("NEUROCARDS_BENCH_EVENTS", "1000000"))
_PAGE = 10_000
_MIB = 1024 * 1024


def test_verify(durable_url: str) -> None:
    uvloop.run(_measure(durable_url))


async def _measure(url: str) -> None:
    events = (await big_log.fill(url, EVENTS)).events
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        raw_s = await _read_all(pool)
        rows = [("reading every event, and nothing else", raw_s, "")]
        rows += [
            (f"walk `{stage}` alone", await _walk(pool, stage), "") for stage in STAGES if stage != "models"
        ]
        rows.append(("verify --log-only", *await _verify(url, events, ("chain", "rules"))))
        await _project(pool)
        rows.append(("walk `models` alone", await _walk(pool, "models"), ""))
        rows.append(("verify", *await _verify(url, events)))
    show(
        f"Verifying {events:,} events on {os.cpu_count()} cores",
        ("what", "seconds", "events/s", "of reading", "MiB of all its processes"),
        [(what, f"{s:.1f}", f"{events / s:,.0f}", f"{raw_s / s:.0%}", memory) for what, s, memory in rows],
    )


async def _read_all(pool: Any) -> float:
    begin = time.perf_counter()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        cursor = await connection.cursor(query("chain"), 0)
        while await cursor.fetch(1000):
            pass
    return time.perf_counter() - begin


async def _walk(pool: Any, stage: Stage) -> float:
    begin = time.perf_counter()
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        walked = await WALKS[stage](connection, GENESIS, lambda *_: None)
    assert walked.problems == []
    return time.perf_counter() - begin


async def _verify(url: str, events: int, stages: Sequence[Stage] = STAGES) -> tuple[float, str]:
    """Seconds, and the most memory that all its processes had together."""
    begin = time.perf_counter()
    watching = asyncio.create_task(_most_memory())
    report = await verify(Database(url, {}), stages=stages)
    seconds = time.perf_counter() - begin
    watching.cancel()
    most = await asyncio.gather(watching)
    assert report.problems == []
    assert report.events == events
    return seconds, f"{most[0] / _MIB:.0f}"


async def _most_memory() -> int:
    """Proportional set sizes of our children, summed, at their highest; until cancelled."""
    most = 0
    while True:
        most = max(most, sum(_memory(pid) for pid in _children()))
        try:
            await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            return most


def _children() -> list[int]:
    found = Path(f"/proc/self/task/{os.getpid()}/children")
    return [pid for pid in map(int, found.read_text().split()) if _is_walk(pid)] if found.exists() else []


def _is_walk(pid: int) -> bool:
    try:
        return b"projections.verify.run" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


async def _project(pool: Any) -> None:
    reader, runners = LogReader(pool), [Runner(pool, projection) for projection in PROJECTIONS.values()]
    cursor = await runners[0].cursor()
    while events := await reader.events_after(cursor.position, _PAGE):
        for runner in runners:
            cursor = await runner.apply(events)
