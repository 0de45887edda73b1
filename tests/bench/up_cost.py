"""What `neurocards up` costs on this machine: CPU seconds of a start and of restarts, memory when idle.

    python -m tests.bench.up_cost [FOLDER_OF_THE_PROGRAM]

Prints one JSON object. Starts `up` twice in a folder of its own: the first run makes the databases, the
second is measured. CPU seconds are user and system time out of /proc, of a process and of the children
it has waited for; memory is Pss. Databases and sandbox stand apart from the rest.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.services import ROOT, clean_environment

_TICKS_HZ = os.sysconf("SC_CLK_TCK")
_APART = ("postgres", "valkey", "sandbox")
_IDLE_S = 30
_RESTARTED = ("relay", "monitor", "projector", "notifier", "web", "worker", "maintenance", "bot", "dashboard")


def cpu_s(pid: int) -> float:
    """User and system time of a process and of its ended children; 0 for one that has just ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / _TICKS_HZ
    return 0.0


def pss_mb(pid: int) -> float:
    """0 for one that has just ended, e.g. the verification's."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(below for child in children for below in tree(int(child)))]
    return []


class Run:
    def __init__(self, root: Path, folder: Path) -> None:
        ports = {"SANDBOX_PORT": 0, "WEB_PORT": 0, "DASHBOARD_PORT": 0}
        env = {"PYTHONPATH": root, "NEUROCARDS_DATA_DIR": folder / "data", **ports}
        self._folder = folder
        self._words = (folder / "words").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "up", "-o", "json"],
            cwd=folder, env=clean_environment(**env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self._words, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout
        self.facts: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.env = clean_environment(**env)

    def apart(self) -> set[int]:
        return {pid for name in _APART for pid in tree(self.pids()[name])}

    def pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self._folder / "data/run/up.json").read_text())["pids"]
        return found

    def rest(self) -> list[int]:
        return [pid for pid in tree(self._process.pid) if pid not in self.apart()]

    def restart(self, name: str) -> float:
        """CPU seconds of the new process until it is ready, once the old one was killed."""
        old = self.pids()[name]
        os.kill(old, signal.SIGKILL)
        ready = self._folder / f"data/run/{name}.json"
        while True:
            time.sleep(0.005)
            try:
                facts = json.loads(ready.read_text())
            except (OSError, ValueError):
                continue
            if facts.get("ready") and facts["pid"] != old:
                return cpu_s(facts["pid"])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def command_cpu_s(root: Path, env: dict[str, str], folder: Path, *words: str) -> float:
    """The least of five runs."""
    found = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "services.cli", *words],
            cwd=folder, env=env, capture_output=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> None:
    root = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else ROOT
    with tempfile.TemporaryDirectory(prefix="up-cost-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        figures: dict[str, Any] = {"load_before": os.getloadavg()}
        Run(root, folder).stop()
        began_s = time.monotonic()
        run = Run(root, folder)
        figures["start_wall_s"] = round(time.monotonic() - began_s, 2)
        figures["start_cpu_s"] = round(sum(map(cpu_s, run.rest())), 2)
        figures["sandbox_start_cpu_s"] = round(cpu_s(run.pids()["sandbox"]), 2)
        time.sleep(_IDLE_S)
        names = {pid: name for name, pid in run.pids().items()}
        memory = {pid: pss_mb(pid) for pid in run.rest()}
        figures["pss_mb"] = round(sum(memory.values()))
        figures["pss_mb_each"] = {names.get(pid, str(pid)): round(mb) for pid, mb in memory.items()}
        figures["sandbox_pss_mb"] = round(pss_mb(run.pids()["sandbox"]))
        figures["restart_cpu_s"] = {name: round(run.restart(name), 2) for name in _RESTARTED}
        words = ("ledger", "balance", "no-such-account")
        figures["balance_cpu_s"] = round(command_cpu_s(root, run.env, folder, *words), 3)
        run.stop()
        figures["load_after"] = os.getloadavg()
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
