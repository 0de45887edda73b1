"""Whether one small machine is enough: `up` with its databases on one core, idle and with sellers who order.

    python -m tests.bench.one_core [SELLERS]

Everything but the sandbox, which stands for the companies, is pinned to the first core. Prints one JSON
object; memory is Pss, looked at each second.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from services.rehearsal.chat_client import Sandbox, open_http
from tests.bench.test_chat import Times, person
from tests.bench.up_cost import Run, cpu_s, pss_mb, tree
from tests.support.services import ROOT

_IDLE_S = 30
_COME_WITHIN_S = 20.0


def ours(run: Run) -> list[int]:
    """All of `up`, the databases included; they have a guard of their own, so they are not below it."""
    pids = run.pids()
    return [*run.rest(), *tree(pids["postgres"]), *tree(pids["valkey"])]


def memory_mb(run: Run) -> float:
    return sum(map(pss_mb, ours(run)))


async def order(run: Run, sellers: int) -> dict[str, Any]:
    """All come within 20 seconds, each with a photo, and wait for their video."""
    peak_mb, began_s, times = 0.0, time.monotonic(), Times()
    before_s = sum(map(cpu_s, ours(run)))
    async with open_http(90) as http:
        sandbox = Sandbox(http, run.facts["sandbox_url"])
        people = [
            asyncio.create_task(person(sandbox.chat(800_000 + n), _COME_WITHIN_S * n / sellers, times))
            for n in range(sellers)
        ]
        while not all(task.done() for task in people):
            await asyncio.wait(people, timeout=1.0)
            peak_mb = max(peak_mb, memory_mb(run))
    problems = [problem for problem in (task.result() for task in people) if problem]
    return {
        "served": sellers - len(problems),
        "problems": problems,
        "seconds": round(time.monotonic() - began_s),
        "cpu_s": round(sum(map(cpu_s, ours(run))) - before_s, 1),
        "peak_pss_mb": round(peak_mb),
        "told": times.told("what people saw"),
    }


def main() -> None:
    sellers = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="one-core-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        figures: dict[str, Any] = {"load_before": os.getloadavg(), "sellers": sellers}
        os.sched_setaffinity(0, cores[:1])
        run = Run(ROOT, folder)
        for pid in (os.getpid(), *tree(run.pids()["sandbox"])):
            os.sched_setaffinity(pid, cores[1:] or cores)
        try:
            time.sleep(_IDLE_S)
            figures["idle_pss_mb"] = round(memory_mb(run))
            figures |= asyncio.run(order(run, sellers))
        finally:
            run.stop()
        figures["load_after"] = os.getloadavg()
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
