"""What an auditor waits for: export and its check, balances as of any time, explanations; and the memory.

BENCH_EVENTS sets the length of the log: 1,000,000 unless it says otherwise, 10,000,000 for the figures in
docs/performance.md. Memory is the peak of the command's whole process, interpreter and libraries included.
"""

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import uvloop

from projections.reports.balance_as_of import balance_at
from projections.reports.explain import explain
from projections.reports.log_position import AsOf
from projections.reports.trial_balance import trial_balance
from services.cli.connections import auditor_pool
from services.platform.settings import load_settings
from tests.bench.big_log import JOBS_PER_LIFE, BigLog, fill
from tests.bench.figures import Run, show
from tests.support.services import ROOT, clean_environment

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
_ASKED = 500


def test_reading(durable_url: str, tmp_path: Path) -> None:
    log = uvloop.run(fill(durable_url, EVENTS))
    raw_per_s = uvloop.run(_raw_copy(durable_url))
    rows: list[tuple[object, ...]] = [("raw COPY to nowhere, text", f"{raw_per_s:,.0f}", "100%", "")]
    for form in ("jsonl", "csv"):
        file = tmp_path / f"log.{form}"
        for words in (("export", "--format", form, "--file", str(file)), ("verify-export", str(file))):
            seconds, peak_mb = _command(durable_url, *words)
            per_s = log.events / seconds
            rows.append((f"{words[0]} {form}", f"{per_s:,.0f}", f"{per_s / raw_per_s:.0%}", f"{peak_mb:.0f}"))
        file.unlink()
    show(f"The log as a file, {log.events:,} events", ("what", "events/s", "of COPY", "peak MB"), rows)
    asked = uvloop.run(_ask(durable_url, log))
    show(
        f"Questions to a log of {log.events:,} events",
        ("question", "asked", "p50 ms", "p99 ms"),
        [(name, len(run.latencies_s), run.percentile_ms(50), run.percentile_ms(99)) for name, run in asked],
    )


def _command(url: str, *words: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of `neurocards ledger …`, which has to succeed."""
    begin = time.perf_counter()
    running = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "ledger", *words],
        env=clean_environment(PYTHONPATH=ROOT, DATABASE_URL=url),
    )
    peak_mb = 0.0
    while running.poll() is None:
        peak_mb = max(peak_mb, _peak_mb(running.pid))
        time.sleep(0.02)
    assert running.returncode == 0
    return time.perf_counter() - begin, peak_mb


def _peak_mb(pid: int) -> float:
    """The most memory a running process had. Its rusage would begin with ours, which it was forked from."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:  # it has just ended, or this system has no /proc
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


async def _raw_copy(url: str) -> float:
    """Rows per second that Postgres sends when nobody does anything with them."""

    async def drop(data: bytes) -> None:
        pass

    connection = await asyncpg.connect(url)
    begin = time.perf_counter()
    status = await connection.copy_from_query("SELECT * FROM events ORDER BY position", output=drop)
    seconds = time.perf_counter() - begin
    await connection.close()
    return int(status.split()[1]) / seconds


async def _ask(url: str, log: BigLog) -> list[tuple[str, Run]]:
    chance = random.Random(1)

    def account() -> str:
        return f"{chance.randrange(log.accounts):08x}"

    def job() -> str:
        return f"{account()}{chance.randrange(JOBS_PER_LIFE):06d}"

    async with auditor_pool(load_settings(database_url=url)) as pool:
        last_us = await pool.fetchval("SELECT max(recorded_at_us) FROM events")

        def moment() -> AsOf:
            return AsOf(time_us=chance.randrange(log.begin_us, last_us))

        sql = "SELECT audit.balance_at_time($1, audit.to_time($2))"
        questions: list[tuple[str, int, Callable[[], Awaitable[object]]]] = [
            ("balance of a user now", _ASKED, lambda: balance_at(pool, account())),
            ("balance of a user at a time", _ASKED, lambda: balance_at(pool, account(), moment())),
            ("the same in SQL", _ASKED, lambda: pool.fetchval(sql, account(), moment().time_us)),
            ("explain a job", _ASKED, lambda: explain(pool, job())),
            ("explain an order", _ASKED, lambda: explain(pool, f"o{job()}")),
            ("explain a payment", _ASKED, lambda: explain(pool, f"pay{account()}0000")),
            ("trial balance now", 1, lambda: trial_balance(pool)),
        ]
        return [(name, await _timed(times, ask)) for name, times, ask in questions]


async def _timed(times: int, ask: Callable[[], Awaitable[object]]) -> Run:
    """One after another, as one auditor asks."""
    latencies: list[float] = []
    begin = time.perf_counter()
    for _ in range(times):
        start = time.perf_counter()
        await ask()
        latencies.append(time.perf_counter() - start)
    return Run(time.perf_counter() - begin, latencies)
