"""`neurocards up` whose services are forked from it, so that none of them imports everything anew.

python -m tests.support.forking_up up …, in a process from the fork server. What is forked is a process as any
other: in a session of its own, with its own environment and output; SIGKILL means SIGKILL.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

from services.cli.__main__ import main
from services.local import supervisor
from tests.support.fork_server_main import become


class ForkedService:
    """What the supervisor uses of a Popen."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: IO[bytes],
        pass_fds: tuple[int],
        **_: Any,
    ) -> None:
        interpreter, flag, module, *words = command
        assert (interpreter, flag) == (sys.executable, "-m"), command
        sys.stdout.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _serve(module, words, env, stdout.fileno(), *pass_fds)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def wait(self, timeout: float) -> int:
        """Raises TimeoutExpired."""
        end_at = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end_at:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code


def _serve(module: str, words: list[str], env: Mapping[str, str], log: int, lifeline: int) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(signum, signal.SIG_DFL)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) not in (0, 1, 2, log, lifeline):
                os.close(int(name))
    request = {"module": module, "words": words, "cwd": str(Path.cwd()), "env": dict(env), "umask": 0o022}
    become(request, [os.dup(log), log, lifeline])


if __name__ == "__main__":
    vars(supervisor)["subprocess"] = SimpleNamespace(Popen=ForkedService, DEVNULL=subprocess.DEVNULL)
    main()
