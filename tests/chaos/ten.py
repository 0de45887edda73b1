"""`make chaos-ten`: all of `make chaos` with one seed after another, until one fails.

Writes the rows of the table in docs/reliability.md to stdout, each as soon as its run is over; the exit code
is 1 when a run has failed. What a failed run said lies in chaos-<seed>.log.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

COMMAND = (
    sys.executable,
    "-m",
    "tests.support.watchdog",
    "60",
    sys.executable,
    "-m",
    "pytest",
    "-m",
    "chaos or short",
    "-q",
    "tests/integration",
    "tests/e2e",
    "tests/chaos",
)


def run(seed: int, jobs: int) -> tuple[bool, float]:
    """Whether all went well, and the seconds it took."""
    environment = os.environ | {"CHAOS_SEED": str(seed)}
    log = Path(f"chaos-{seed}.log")
    started = time.monotonic()
    with log.open("wb") as out:
        command = [*COMMAND, "--numprocesses", str(jobs)]
        code = subprocess.run(command, env=environment, stdout=out, stderr=out, check=False).returncode
    if code == 0:
        log.unlink()
    return code == 0, time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=4, help="test processes side by side")
    parser.add_argument("seeds", type=int, nargs="*", help="instead of seeds by chance")
    options = parser.parse_args()
    seeds = options.seeds or random.sample(range(1_000_000), options.runs)
    sys.stdout.write("| seed | result | seconds |\n|---|---|---|\n")
    for seed in seeds:
        passed, seconds = run(seed, options.jobs)
        sys.stdout.write(f"| {seed} | {'green' if passed else 'FAILED'} | {seconds:.0f} |\n")
        sys.stdout.flush()
        if not passed:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
