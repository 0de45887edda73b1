"""What all job queues are measured by: two worker processes, one that enqueues, an empty job.

    python -m tests.bench.peers.job_queue with_rq measure REDIS POSTGRES JOBS

prints the figures as JSON; `work` instead of `measure … JOBS` is a worker. It runs in the peers' environment,
so it imports nothing of ours.
"""

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

WORKERS = 2
CALLERS = 64
WARM_UP = 20
PER_S = 100
SECONDS = 5
PATIENCE_S = 120.0
_NOTES = "NEUROCARDS_BENCH_NOTES"


class Servers(NamedTuple):
    """Addresses, as our own services take them."""

    redis: str
    postgres: str


class Queue(Protocol):
    """A queue from its user's side. Each module has `connect`, which opens one, and `work`, a worker."""

    async def enqueue(self) -> None:
        """One empty job."""

    async def enqueue_noted(self, asked_s: float) -> None:
        """One job that calls `note(asked_s)`."""

    async def left(self) -> int:
        """Jobs that are not finished."""


Connect = Callable[[Servers], contextlib.AbstractAsyncContextManager[Queue]]


def note(asked_s: float) -> None:
    """For the job: it has started, so long after it was asked for. All processes have this clock."""
    waited_s = time.monotonic() - asked_s
    with Path(os.environ[_NOTES]).open("a", encoding="ascii") as notes:
        notes.write(f"{waited_s}\n")


def main() -> None:
    module, what, redis, postgres, *jobs = sys.argv[1:]
    servers = Servers(redis, postgres)
    peer = importlib.import_module(f"tests.bench.peers.{module}")
    if what == "work":
        peer.work(servers)
    else:
        sys.stdout.write(
            json.dumps(asyncio.run(_measure(module, peer.connect, servers, int(jobs[0])))) + "\n"
        )


async def _measure(module: str, connect: Connect, servers: Servers, jobs: int) -> dict[str, float]:
    """Jobs per second with all callers at once; then, at a steady pace, how long until each starts."""
    with tempfile.NamedTemporaryFile() as notes:
        os.environ[_NOTES] = notes.name
        async with connect(servers) as queue:
            with _workers(module, servers):
                await _all(queue.enqueue, WARM_UP)
                await _finished(queue)
                begin = time.monotonic()
                await _all(queue.enqueue, jobs)
                await _finished(queue)
                per_s = jobs / (time.monotonic() - begin)
                await _paced(queue)
                await _finished(queue)
        waited_ms = sorted(float(line) * 1000 for line in Path(notes.name).read_text().split())
    return {
        "per_s": per_s,
        "p50_ms": waited_ms[len(waited_ms) // 2],
        "p99_ms": waited_ms[len(waited_ms) * 99 // 100],
    }


@contextlib.contextmanager
def _workers(module: str, servers: Servers) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.peers.job_queue", module, "work", *servers]
    running = [subprocess.Popen(command, stdout=sys.stderr) for _ in range(WORKERS)]
    try:
        yield
    finally:
        for worker in running:
            worker.kill()
            worker.wait()


async def _all(enqueue: Callable[[], Awaitable[None]], count: int) -> None:
    left = iter(range(count))

    async def caller() -> None:
        for _ in left:
            await enqueue()

    await asyncio.gather(*[caller() for _ in range(CALLERS)])


async def _paced(queue: Queue) -> None:
    begin = time.monotonic()
    asked = []
    for n in range(PER_S * SECONDS):
        await asyncio.sleep(max(0.0, begin + n / PER_S - time.monotonic()))
        asked.append(asyncio.create_task(queue.enqueue_noted(time.monotonic())))
    await asyncio.gather(*asked)


async def _finished(queue: Queue) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left := await queue.left():
        if time.monotonic() > deadline:
            raise SystemExit(f"{left} jobs were not finished within {PATIENCE_S:g} s")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
