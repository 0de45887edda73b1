"""What the embedded servers share: they run under a guard, log to a file, and are waited for."""

import atexit
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from services.platform.errors import StartError

_GUARD = Path(__file__).with_name("child_guard.py")
_handed_over: "list[subprocess.Popen[bytes]]" = []
"""Guards that outlive the object that started them; a reference keeps Popen from complaining."""


@atexit.register
def _leave_handed_over() -> None:
    """They go on without us on purpose: at the interpreter's end Popen need not complain either."""
    for guard in _handed_over:
        guard.returncode = guard.poll() or 0


@dataclass(frozen=True)
class RunAs:
    """Who a program runs as; -1 leaves it as it is."""

    uid: int = -1
    gid: int = -1


@dataclass
class GuardedProgram:
    """One server program under its guard, in a session of its own: no Ctrl-C of the terminal reaches it."""

    name: str
    command: list[str]
    log_path: Path
    stop_signal: signal.Signals
    grace_s: int = 10
    run_as: RunAs = field(default_factory=RunAs)
    watched_pid: int = 0
    """Live as long as this process rather than as long as we do; 0: as we do."""
    _guard: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        guard = [sys.executable, "-I", "-S", str(_GUARD)]
        numbers = (int(self.stop_signal), self.grace_s, self.run_as.uid, self.run_as.gid, self.watched_pid)
        with self._open_log() as log:
            self._guard = subprocess.Popen(
                [*guard, *map(str, numbers), *self.command],
                stdin=subprocess.DEVNULL if self.watched_pid else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        if self.watched_pid:
            _handed_over.append(self._guard)

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Until `ready`. Raises StartError, with the log's end, when the program ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.exit_code is not None:
                raise StartError(f"{self.name} ended with code {self.exit_code}; {self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(f"{self.name} was not ready within {timeout_s:g} s; {self.log_tail()}")
            time.sleep(0.02)

    @property
    def guard_pid(self) -> int | None:
        return self._guard.pid if self._guard else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or was never started."""
        return self._guard.poll() if self._guard else None

    def stop(self) -> None:
        """End the program and wait for it."""
        if self._guard is None:
            return
        if self._guard.poll() is None:
            self._guard.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(self.grace_s + 5)
        if self._guard.stdin:
            self._guard.stdin.close()

    def log_tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_path.read_text(errors="replace").splitlines()[-8:]
            return f"the end of {self.log_path}:\n" + "\n".join(f"    {line}" for line in lines)
        return f"see {self.log_path}"

    def _open_log(self) -> IO[bytes]:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        return self.log_path.open("ab")
