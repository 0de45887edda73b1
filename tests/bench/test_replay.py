"""Events per second of `neurocards replay balances job_status`, its memory, and orders placed meanwhile.

BENCH_EVENTS sets the length of the log: 1,000,000 unless it says otherwise, 10,000,000 for the figures in
docs/performance.md. The command is measured whole: start, pass, comparison row by row, roots, swap. On a
machine that does other work read the CPU time instead of the seconds.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import asyncpg
import pytest
import uvloop

from projections.rebuild.run import RebuildOptions, RebuildResult, rebuild_all
from services.local.postgres import EmbeddedPostgres
from tests.bench import big_log
from tests.bench.figures import show
from tests.bench.load import cpu_s
from tests.bench.writer import Task, Writer
from tests.support.servers import OPERATOR
from tests.support.services import ROOT, clean_environment

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
NAMES = ("balances", "job_status")
_PAUSE_S = 0.01
_WRITING_S = max(2.0, EVENTS / 500_000)


class Command:
    """`neurocards replay …` with what it takes; Postgres' share is all that Postgres does meanwhile."""

    def __init__(self, durable: EmbeddedPostgres, *words: str) -> None:
        assert durable.pid is not None
        self._postgres = durable.pid
        before, begin = cpu_s(self._postgres), time.perf_counter()
        environment = clean_environment() | {"DATABASE_URL": durable.url(user=OPERATOR)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "replay", *words], cwd=ROOT, env=environment,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.peak_mb: dict[int, float] = {}
        self.together_mb = self.cpu_s = 0.0
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()
        self._before, self._begin = before, begin

    def wait(self) -> None:
        assert self._process.wait() == 0
        self.seconds = time.perf_counter() - self._begin
        self.postgres_s = cpu_s(self._postgres) - self._before
        self._watching.join()

    def _watch(self) -> None:
        while self._process.poll() is None:
            self.cpu_s = max(self.cpu_s, cpu_s(self._process.pid))
            sizes = {pid: _pss_mb(pid) for pid in _tree(self._process.pid)}
            self.together_mb = max(self.together_mb, sum(sizes.values()))
            for pid, size in sizes.items():
                self.peak_mb[pid] = max(size, self.peak_mb.get(pid, 0))
            time.sleep(0.1)


def test_replay(durable: EmbeddedPostgres) -> None:
    url = durable.url(user=OPERATOR)
    events = uvloop.run(big_log.fill(url, EVENTS)).events
    filled = uvloop.run(
        rebuild_all(url, NAMES, RebuildOptions(from_log=True))
    )  # there is nothing to compare with yet
    checked = Command(durable, *NAMES, "--check")
    checked.wait()
    with Writer(Task(url, _WRITING_S, pause_s=_PAUSE_S)) as writer:
        idle = writer.run()
        swapped = Command(durable, *NAMES)
        busy = writer.run()
        swapped.wait()
    assert uvloop.run(_versions(url)) == [3, 3]
    show(
        f"`replay {' '.join(NAMES)}`, {events:,} events on {os.cpu_count()} cores",
        (
            "what",
            "seconds",
            "events/s",
            "CPU µs per event: ours",
            "Postgres",
            "MB of a process",
            "MB together",
        ),
        [
            ("filled, not compared", *_of(filled, events), "", "", "", ""),
            ("--check, nothing beside it", *_row(checked, events)),
            ("compared and swapped, orders meanwhile", *_row(swapped, events)),
        ],
    )
    show(
        "Orders, one after another with a pause of 10 ms",
        ("when", "orders/s", "p50 ms", "p99 ms"),
        [
            (when, f"{r.per_s:.0f}", f"{r.p50_ms:.1f}", f"{r.p99_ms:.1f}")
            for when, r in (("nothing else", idle), ("replay meanwhile", busy))
        ],
    )


def _row(done: Command, events: int) -> tuple[str, ...]:
    ours_us, postgres_us = done.cpu_s / events * 1e6, done.postgres_s / events * 1e6
    return (
        f"{done.seconds:.1f}", f"{events / done.seconds:,.0f}", f"{ours_us:.2f}", f"{postgres_us:.2f}",
        f"{max(done.peak_mb.values()):.0f}", f"{done.together_mb:.0f}",
    )  # fmt: skip


def _of(done: list[RebuildResult], events: int) -> tuple[str, str]:
    seconds = done[-1].seconds
    return f"{seconds:.1f}", f"{events / seconds:,.0f}"


async def _versions(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    sql = "SELECT version FROM cursors WHERE active AND name = ANY ($1::text[]) ORDER BY name"
    found = [row["version"] for row in await connection.fetch(sql, NAMES)]
    await connection.close()
    return found


def _tree(pid: int) -> list[int]:
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += _tree(int(child))
    return found


def _pss_mb(pid: int) -> float:
    """Memory of a process, with its share of what it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)
