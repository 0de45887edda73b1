"""The process that `fork_server.py` forks others from: imports everything once, then waits for requests.

python -m tests.support.fork_server_main LISTENING_FD WATCHED_PID
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Never

from services.platform.parent_death import VARIABLE as LIFELINE
from tests.support.prepared import prepare, share_certificates
from tests.support.wire import LENGTH, NUMBER, receive_exactly

_CALLED = (
    "fake_service",
    "fork_call",
    "killed_writers",
    "self_killing_payment",
    "self_killing_worker",
    "stopping",
    "writers",
)
_OURS = ("events", "ledger", "projections", "services")
_LATER = ("__main__", "exporter")
"""What is run, and what a test holds to be loaded only where traces are on."""
_LAZY = ("httpcore2", "openai.resources")


def _import_all() -> None:
    found = [module.name for name in _OURS for module in walk_packages([name], f"{name}.")]
    ours = [name for name in found if not name.endswith(_LATER)]
    for name in (*ours, *_LAZY, *(f"tests.support.{name}" for name in _CALLED)):
        import_module(name)


class ForkServer:
    """The server's side."""

    def __init__(self, listener: socket.socket, watched_pid: int) -> None:
        self._listener = listener
        self._watched_pid = watched_pid
        self._waiting: dict[int, socket.socket] = {}
        self._awake, writer = os.pipe()
        for end in (self._awake, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until the watched process is gone."""
        while _alive(self._watched_pid):
            ready, _, _ = select.select([self._listener.fileno(), self._awake], [], [], 0.5)
            if self._awake in ready:
                os.read(self._awake, 4096)
            self._reap()
            if self._listener.fileno() in ready:
                connection, _ = self._listener.accept()
                self._fork(connection)

    def _fork(self, connection: socket.socket) -> None:
        request, fds = _receive_request(connection)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for held in (self._listener, connection, *self._waiting.values()):
                held.close()
            become(request, fds)
        for fd in fds:
            os.close(fd)
        self._waiting[pid] = connection
        self._tell(connection, pid)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                connection = self._waiting.pop(pid)
                self._tell(connection, status)
                connection.close()

    @staticmethod
    def _tell(connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):  # whoever asked has gone
            connection.sendall(NUMBER.pack(number))


def become(request: dict[str, Any], fds: list[int]) -> Never:
    """In the new process: be what was asked for, and end."""
    code, former = 1, (sys.stdout, sys.stderr)
    try:
        os.setsid()
        os.chdir(request["cwd"])
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["env"])
        if len(fds) == 3:
            os.environ[LIFELINE] = str(fds[2])
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (fds[0], 1), (fds[1], 2)):
            os.dup2(source, target)
            os.close(source)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.argv = [request["module"], *request["words"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (*former, sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _receive_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, fds, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
    data += receive_exactly(connection, LENGTH.size - len(data))
    request: dict[str, Any] = json.loads(receive_exactly(connection, LENGTH.unpack(data)[0]))
    return request, list(fds)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    _import_all()
    share_certificates()
    prepare()
    gc.freeze()  # the children share these pages as long as nobody counts through them
    gc.enable()
    ForkServer(listener, int(sys.argv[2])).serve()


if __name__ == "__main__":
    main()
