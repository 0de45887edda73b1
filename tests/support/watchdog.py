"""Runs a command that tests, ends it and all it started when that takes too long, and tells its CPU time.

python -m tests.support.watchdog MINUTES COMMAND …

After MINUTES, or when SIGUSR1 says so, it prints the stacks of all threads of the command's test processes,
interrupts the command, so that it tells what has failed, kills what is left after a while, and fails. On
Linux whatever the command's processes leave behind becomes the watchdog's child, so nothing is missed.
"""

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

STACKS = "NEUROCARDS_TEST_STACKS"
"""Names the folder where test processes write their stacks, each in a file that has its id for a name."""

GRACE_S = 20.0
"""Twice what pytest-xdist gives its processes, and services/platform/parent_death.py those without a
parent."""

_SIGNAL = signal.SIGUSR2
_WRITTEN_S = 5.0
_ADOPT_ORPHANS = 36


def answer() -> None:
    """In a test process: show all stacks whenever the watchdog asks, whatever the process hangs in."""
    if folder := os.environ.get(STACKS):
        file = os.open(Path(folder) / str(os.getpid()), os.O_WRONLY | os.O_CREAT)
        faulthandler.register(_SIGNAL, file=file, all_threads=True)


def note(test: str) -> None:
    """In a test process: the test that it begins."""
    if folder := os.environ.get(STACKS):
        (Path(folder) / f"{os.getpid()}.test").write_text(test)


class Watchdog:
    """One command under watch."""

    def __init__(self, limit_s: float, command: list[str]) -> None:
        self._limit_s = limit_s
        self._command = command
        self._code: int | None = None
        self._overrun = False

    def run(self) -> int:
        """The command's exit code, 128 + n when signal n ended it, 1 when it took too long."""
        _adopt_orphans()
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="neurocards-stacks-") as folder:
            self._stacks = Path(folder)
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, self._pass_on)
            signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=self._end_overrun).start())
            environment = os.environ | {STACKS: folder}
            self._pid = os.posix_spawnp(self._command[0], self._command, environment)
            with _after(self._limit_s, self._end_overrun):
                self._wait(until=lambda: self._code is not None)
            with _after(GRACE_S, self._end_leftovers):
                self._wait(until=lambda: False)
        _tell(_figures(time.monotonic() - began_s))
        return 1 if self._overrun else self._code or 0

    def _wait(self, until: Callable[[], bool]) -> None:
        """Collect every process that ends, for its CPU time counts only then."""
        while not until():
            try:
                pid, status = os.wait()
            except ChildProcessError:
                return
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                self._code = code if code >= 0 else 128 - code

    def _pass_on(self, signum: int, _frame: object) -> None:
        """Ctrl-C comes to the command from the terminal too; what else ends us is for it to end orderly."""
        if signum != signal.SIGINT and self._code is None:
            os.kill(self._pid, signal.SIGINT)

    def _end_overrun(self) -> None:
        if self._overrun or not self._runs():
            return
        self._overrun = True
        _tell(f"The tests took more than {self._limit_s / 60:g} minutes. Where their processes are:")
        testing = [pid for pid in descendants() if (self._stacks / str(pid)).exists()]
        for pid in testing:
            _tell(f"--- process {pid}: {self._test_of(pid)}\n{self._stacks_of(pid)}")
        os.kill(self._pid, signal.SIGINT)
        give_up_at = time.monotonic() + GRACE_S
        while self._runs() and time.monotonic() < give_up_at:
            time.sleep(0.1)
        _kill([self._pid, *testing])

    def _runs(self) -> bool:
        return self._code is None

    def _test_of(self, pid: int) -> str:
        with contextlib.suppress(OSError):
            return (self._stacks / f"{pid}.test").read_text()
        return command_line(pid)

    def _stacks_of(self, pid: int) -> str:
        """What it writes when asked; the main thread is written last."""
        path = self._stacks / str(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _SIGNAL)
        deadline = time.monotonic() + _WRITTEN_S
        size = -1
        while time.monotonic() < deadline and (size <= 0 or size != path.stat().st_size):
            size = path.stat().st_size
            time.sleep(0.1)
        return path.read_text(errors="replace") or "(it does not answer)"

    def _end_leftovers(self) -> None:
        while left := descendants():
            for pid in left:
                _tell(f"still there, and killed: process {pid}: {command_line(pid)}")
            _kill(left)
            time.sleep(0.1)


def descendants() -> list[int]:
    """The ids of all processes that come from this one and run."""
    children: dict[int, list[int]] = {}
    for pid, parent in _running():
        children.setdefault(parent, []).append(pid)
    found = list(children.get(os.getpid(), []))
    for pid in found:
        found += children.get(pid, [])
    return found


def _running() -> list[tuple[int, int]]:
    """Every process's id and its parent's."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        pairs = [line.split() for line in listed.stdout.splitlines()]
        return [(int(pid), int(parent)) for pid, parent in pairs]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    found.append((int(folder.name), int(parent)))
    return found


def command_line(pid: int) -> str:
    """Its first words, empty where that cannot be told."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    return ""


@contextlib.contextmanager
def _after(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Do that in a thread when the block takes longer."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _figures(seconds: float) -> str:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{used.ru_utime + used.ru_stime:.1f} CPU seconds in all processes "
        f"({used.ru_utime:.1f} user, {used.ru_stime:.1f} system), {seconds:.0f} s by the clock; "
        f"load averages {loads}"
    )


def _tell(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(Watchdog(float(sys.argv[1]) * 60, sys.argv[2:]).run())
