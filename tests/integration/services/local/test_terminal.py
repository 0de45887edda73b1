"""Closing the terminal of `neurocards up` ends it in good order, whoever leads the terminal's session."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.local import processes
from services.local.up import whoever_hears
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import eventually_now

UP = [sys.executable, "-m", "tests.support.small_up", "up", "-o", "json"]
LEAD = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
PATIENT_S = 180


class Stack:
    """A small stack on databases that are there, started by `command` on a terminal if there is one."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str], tty: int | None = None) -> None:
        self.folder = folder
        where: dict[str, Any] = {"stdin": tty, "stdout": tty, "stderr": tty}
        if tty is None:
            where = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True, **where)
        self.pids: dict[str, int] = {}

    def wait_ready(self) -> None:
        facts = eventually_now(self._facts, PATIENT_S, what="the stack to be ready")
        self.pids = {"up": facts["pid"]} | facts["pids"]
        assert "sandbox" in self.pids

    def ended(self) -> bool:
        self.process.poll()  # or it stays for ever
        return not any(processes.alive(pid) for pid in self.pids.values())

    def wait_ended_in_good_order(self) -> None:
        eventually_now(self.ended, PATIENT_S, what="the stack to end")
        assert "service_stopped" in (self.folder / "data/logs/sandbox.log").read_text(), "killed"
        assert not (self.folder / "data/run/up.json").exists()

    def _facts(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            facts: dict[str, Any] = json.loads((self.folder / "data/run/up.json").read_text())
            return facts
        return {}


Start = Callable[..., Stack]


@pytest.fixture
def start(database_url: str, redis_url: str) -> Iterator[Start]:
    with short_folder() as folder:
        env = clean_environment(
            PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=folder / "data", SANDBOX_PORT=0, WEB_PORT=0,
            DASHBOARD_PORT=0, DATABASE_URL=database_url, REDIS_URL=redis_url,
        )  # fmt: skip
        stacks: list[Stack] = []

        def start(*command: str, tty: int | None = None) -> Stack:
            stacks.append(Stack(folder, list(command), env, tty))
            return stacks[-1]

        yield start
        for stack in stacks:
            for pid in {*stack.pids.values(), stack.process.pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            stack.process.communicate()


class Window:
    """A terminal: `tty` is what programs see, `person` the other side."""

    def __init__(self) -> None:
        self.person, self.tty = os.openpty()
        self._open = {self.person, self.tty}

    def close(self, *fds: int) -> None:
        """Close these, or all; what is closed already stays so."""
        for fd in self._open & set(fds or self._open):
            os.close(fd)
            self._open.remove(fd)


@pytest.fixture
def window() -> Iterator[Window]:
    window = Window()
    yield window
    window.close()


def test_closing_the_window_of_a_shell(start: Start, window: Window) -> None:
    """The shell passes the hangup on, and the kernel tells it once more when the shell is gone."""
    stack = start(sys.executable, "-c", LEAD, "bash", "--norc", "--noprofile", "-i", tty=window.tty)
    os.write(window.person, f"{shlex.join(UP)}\n".encode())
    stack.wait_ready()
    window.close()
    stack.wait_ended_in_good_order()


def test_closing_a_window_in_which_make_runs(start: Start, window: Window) -> None:
    """Make gets the hangup and waits for its children, who hear nothing."""
    rule = f"run:\n\t@{shlex.join(UP)}\n"
    with short_folder() as folder:
        (folder / "Makefile").write_text(rule)
        stack = start(
            sys.executable, "-c", LEAD, "make", "-f", str(folder / "Makefile"), "run", tty=window.tty
        )
        stack.wait_ready()
        window.close()
        stack.wait_ended_in_good_order()


def test_a_hangup_is_no_impatience_before_or_after_another_signal(start: Start) -> None:
    stack = start(*UP)
    stack.wait_ready()
    at_once(stack, signal.SIGHUP, signal.SIGINT)
    stack.wait_ended_in_good_order()
    assert stack.process.wait(PATIENT_S) == 0


def test_a_second_interrupt_is_impatience(start: Start) -> None:
    stack = start(*UP)
    stack.wait_ready()
    at_once(stack, signal.SIGINT, signal.SIGTERM)
    assert stack.process.wait(PATIENT_S) == 130
    eventually_now(stack.ended, PATIENT_S)
    assert "service_stopped" not in (stack.folder / "data/logs/sandbox.log").read_text()


def test_nohup_is_obeyed(start: Start, window: Window) -> None:
    stack = start(sys.executable, "-c", LEAD, "nohup", *UP, tty=window.tty)
    stack.wait_ready()
    ignored = int(next(
        line.split()[1] for line in Path(f"/proc/{stack.pids['up']}/status").read_text().splitlines()
        if line.startswith("SigIgn")
    ), 16)  # fmt: skip
    assert ignored & (1 << (signal.SIGHUP - 1))
    assert not any(os.readlink(fd) == "/dev/tty" for fd in Path(f"/proc/{stack.pids['up']}/fd").iterdir())


def test_words_that_nobody_hears_end_nothing(window: Window) -> None:
    window.close(window.person)

    def say(words: str) -> None:
        os.write(window.tty, words.encode())

    with pytest.raises(OSError, match="Input/output error"):
        say("stopping…")
    whoever_hears(say)("stopping…")


def at_once(stack: Stack, *signums: signal.Signals) -> None:
    """Signals that the process finds all together."""
    for signum in (signal.SIGSTOP, *signums, signal.SIGCONT):
        os.kill(stack.process.pid, signum)
