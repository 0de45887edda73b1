"""A process that charges as fast as it can, or now and then: started by the benchmark, told when to begin.

Reads a Task as JSON from its arguments, says "ready", begins at the next line it is given, and says a Report.
More lines, more reports.
"""

import asyncio
import itertools
import os
import secrets
import subprocess
import sys
import time

import asyncpg
import msgspec
import structlog
import uvloop

from ledger import commands as c
from ledger.log.ledger import Ledger
from tests.bench.figures import Run, callers


class Task(msgspec.Struct):
    """`callers` at once order `videos` each, again and again; each rests `pause_s` in between.

    With `accounts` (ids that exist) they share these, else each caller has its own.
    """

    url: str
    seconds: float
    callers: int = 1
    videos: int = 1
    pause_s: float = 0
    accounts: list[str] = []


class Report(msgspec.Struct):
    """What came of it: orders per second, latencies, the process's own CPU time per order."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


class Writer:
    """The process, as its starter sees it."""

    def __init__(self, task: Task) -> None:
        arguments = [sys.executable, "-m", __name__, msgspec.json.encode(task).decode()]
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
        )
        self._line()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def report(self) -> Report:
        """Of what was begun; waits for it."""
        return msgspec.json.decode(self._line(), type=Report)

    def run(self) -> Report:
        self.begin()
        return self.report()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the writer ended with {self._process.wait(30)}")
        return line


async def _serve(task: Task) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    name = secrets.token_hex(4)
    serial = itertools.count()
    async with (
        asyncpg.create_pool(task.url, min_size=0, max_size=1) as pool,
        Ledger(task.url, pool) as ledger,
    ):
        accounts = task.accounts or await _opened(ledger, name, task.callers)

        async def charge(caller: int) -> None:
            n = f"{name}{next(serial):016d}"
            jobs = tuple(f"{n}-{video}" for video in range(task.videos))
            order = c.OrderVideos(
                accounts[caller % len(accounts)], n, jobs, 1, "bytedance/seedance-2-fast", "ugc",
                f"photos/{n}.jpg", n, "ru", 900,
            )  # fmt: skip
            await ledger.execute(order, key=f"order:{n}")

        async def charge_and_rest(caller: int) -> float:
            begin = time.perf_counter()
            await charge(caller)
            took = time.perf_counter() - begin
            await asyncio.sleep(task.pause_s)
            return took

        _say(b"ready")
        while await asyncio.to_thread(sys.stdin.readline):
            cpu = time.process_time()
            if task.pause_s:
                begin = time.perf_counter()
                took = []
                while time.perf_counter() < begin + task.seconds:
                    took.append(await charge_and_rest(0))
                run = Run(time.perf_counter() - begin, took)
            else:
                run = await callers(task.callers, task.seconds, charge)
            cpu_us = (time.process_time() - cpu) * 1e6 / len(run.latencies_s)
            report = Report(run.per_s, run.percentile_ms(50), run.percentile_ms(99), cpu_us)
            _say(msgspec.json.encode(report))


async def _opened(ledger: Ledger, name: str, count: int) -> list[str]:
    """So many new accounts with a million credits each."""
    accounts = [f"{name}{n}" for n in range(count)]
    for command in ("open", "terms"):
        await asyncio.gather(
            *[
                ledger.execute(
                    c.OpenAccount(account, "0" * 64)
                    if command == "open"
                    else c.AcceptTerms(account, "1", 1_000_000),
                    key=f"{command}:{account}",
                )
                for account in accounts
            ]
        )
    return accounts


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(_serve(msgspec.json.decode(sys.argv[1], type=Task)))
