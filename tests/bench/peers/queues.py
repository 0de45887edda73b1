"""The job queues, as the benchmark sees them: each is measured by its script, in the peers' environment."""

import json
import subprocess
from typing import NamedTuple

from tests.support.services import ROOT, clean_environment

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
QUEUES = {"RQ": "with_rq", "arq": "with_arq", "procrastinate": "with_procrastinate"}


class QueueFigures(NamedTuple):
    """Empty jobs per second from the first enqueued to the last finished; milliseconds until one starts."""

    per_s: float
    p50_ms: float
    p99_ms: float


def installed() -> bool:
    return PYTHON.exists()


def measure(name: str, redis_url: str, postgres_url: str, jobs: int) -> QueueFigures:
    """Run the queue's script. Raises CalledProcessError; what it says goes to our stderr."""
    script = [str(PYTHON), "-m", "tests.bench.peers.job_queue"]
    command = [*script, QUEUES[name], "measure", redis_url, postgres_url, str(jobs)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=clean_environment(), timeout=300
    )
    return QueueFigures(**json.loads(done.stdout))
