"""Base of embedded servers: guarded, on a folder, logging to a file."""

import atexit
import contextlib
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import structlog

from services.local import processes
from services.platform.errors import StartError
from services.platform.settings import environment_of

logger = structlog.get_logger()

_GUARD = Path(__file__).with_name("child_guard.py")
_GRACE_S = 10
_LINES_SHOWN = 8
_handed_over: "list[subprocess.Popen[bytes]]" = []
"""Guards that outlive the object that started them; a reference keeps Popen from complaining."""


@atexit.register
def _leave_handed_over() -> None:
    """They go on without us on purpose: keeps Popen from complaining at the interpreter's end."""
    for guard in _handed_over:
        guard.returncode = guard.poll() or 0


class EmbeddedServer:
    """One server on `data`. A subclass has `start` and `_is_ready`."""

    name: str
    stop_signal: signal.Signals
    pid_file: Path

    def __init__(self, data: Path, log_path: Path, *, watched_pid: int = 0) -> None:
        """`watched_pid`: the process to live as long as; 0: this one."""
        self.data = data
        self.log_path = log_path
        self._watched_pid = watched_pid
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """End a leftover server, start, wait until ready. Raises StartError."""
        raise NotImplementedError

    def _is_ready(self) -> bool:
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        return processes.read_pid(self.pid_file)

    @property
    def guard_pid(self) -> int | None:
        return self._guard.pid if self._guard else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or was never started."""
        return self._guard.poll() if self._guard else None

    def stop(self) -> None:
        if self._guard is None:
            return
        if self._guard.poll() is None:
            self._guard.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(_GRACE_S + 5)
        if self._guard.stdin:
            self._guard.stdin.close()

    def _run(self, command: list[str], user: pwd.struct_passwd | None, timeout_s: float) -> None:
        """Start it in a session without Ctrl-C, and wait. Raises StartError with the log's end."""
        who = (user.pw_uid, user.pw_gid) if user else (-1, -1)
        numbers = (int(self.stop_signal), _GRACE_S, *who, self._watched_pid)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), *map(str, numbers), *command],
                env=environment_of(self.name),
                stdin=subprocess.DEVNULL if self._watched_pid else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._watched_pid:
            _handed_over.append(self._guard)
        deadline = time.monotonic() + timeout_s
        while not self._is_ready():
            if self.exit_code is not None:
                raise StartError(f"{self.name} ended with code {self.exit_code}; {self._log_end()}")
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(f"{self.name} was not ready within {timeout_s:g} s; {self._log_end()}")
            time.sleep(0.02)

    def _end_leftover(self) -> None:
        """End a server that outlived its starter; drop a pid file whose number another process has."""
        pid = self.pid
        if pid is None or not processes.alive(pid):
            return  # the server itself deals with the file of a dead one
        if str(self.data) in processes.command_line(pid):
            logger.warning("leftover_server_stopped", server=self.name.lower(), pid=pid)
            processes.end(pid, self.stop_signal)
        else:
            self.pid_file.unlink(missing_ok=True)

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_path.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
            return f"the end of {self.log_path}:\n" + "\n".join(f"    {line}" for line in lines)
        return f"see {self.log_path}"
