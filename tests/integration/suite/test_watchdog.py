"""A run of the suite ends, whatever hangs in it, says where it hung, and leaves no process behind."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.processes import alive
from tests.integration.suite.conftest import ROOT, StartSession, ended
from tests.support.waiting import eventually

LIMIT_MIN = 30
CPU_TIME = r"(?!0\.0)\d+\.\d CPU seconds in all processes"
UNENDING = """
import contextlib, os, pathlib, subprocess, time

def test_that_fails():
    assert False

def test_that_nothing_ends():
    orphan = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null & echo $!"], stdout=subprocess.PIPE)
    written = pathlib.Path("FILE.new")
    written.write_text(f"{os.getpid()} {orphan.stdout.decode()}")
    written.rename("FILE")
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)

def test_that_waits():
    time.sleep(600)
"""
LEAVING = """
import subprocess

def test_it():
    subprocess.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $! >FILE"])
"""


@pytest.mark.parametrize("processes", [0, 2])
async def test_a_run_that_hangs_is_ended_and_shows_all_stacks(
    start_session: StartSession, tmp_path: Path, processes: int
) -> None:
    file = tmp_path / "pids"
    session = start_session(
        UNENDING.replace("FILE", str(file)), f"--numprocesses={processes}", watched_min=LIMIT_MIN
    )
    await eventually(file.exists, 200, what="the test that hangs")
    session.send_signal(signal.SIGUSR1)
    said = ended(session)
    assert session.returncode == 1, said
    assert said.count("--- process ") == processes + 1, said
    assert "in test_that_nothing_ends" in said, said
    assert re.search(r"--- process \d+: test_small.py::test_that_nothing_ends", said), said
    if processes:
        assert "FAILED test_small.py::test_that_fails" in said, "what was known before"
        hands_out = r'dsession\.py", line \d+ in pytest_runtestloop'
        assert re.search(hands_out, said), f"the process that hands out the tests: {said}"
    assert re.search(CPU_TIME, said), said
    assert not any(alive(int(pid)) for pid in file.read_text().split())


def test_its_time_is_limited() -> None:
    """No test process is there to be asked."""
    watchdog = [sys.executable, "-m", "tests.support.watchdog", "0.01"]
    done = subprocess.run([*watchdog, "sleep", "600"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The tests took more than 0.01 minutes" in done.stdout


def test_a_run_that_ends_leaves_nothing_and_tells_its_cpu_time(
    start_session: StartSession, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    session = start_session(LEAVING.replace("FILE", str(file)), watched_min=LIMIT_MIN)
    said = ended(session)
    assert session.returncode == 0, said
    assert re.search(CPU_TIME, said), said
    assert f"still there, and killed: process {file.read_text().strip()}: sleep 600" in said, said
    assert not alive(int(file.read_text()))


@pytest.mark.parametrize(("command", "code"), [("exit 5", 5), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_commands(command: str, code: int) -> None:
    watchdog = [sys.executable, "-m", "tests.support.watchdog", "1"]
    done = subprocess.run([*watchdog, "sh", "-c", command], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == code
