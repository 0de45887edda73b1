"""Processes forked from one that has imported everything.

They start quickly and share its memory.

Why this is safe, and what a child inherits: docs/decisions/warm-parent.md. Linux only, and nobody depends on
it: whoever gets None from `fork` starts the program from nothing, as elsewhere.

    fork    ──a new socket──▶ server, which forks at once; it reads none of what comes through that socket
            ──environment, arguments, log, lifeline──▶ the child
            ◀──process id and pidfd, and when it has ended its wait status── server
"""

import asyncio
import atexit
import contextlib
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, Never, TypeVar

from services.platform.parent_death import VARIABLE as LIFELINE

SUPPORTED: Final = sys.platform == "linux" and hasattr(os, "pidfd_open")
ANSWER_S: Final = 5.0
"""A parent that has not forked by then is frozen, and killed."""
STATUS_S: Final = 1.0
"""How long after a child's end its status may take; who ended it may have ended the parent too."""
UNKNOWN_CODE: Final = 255
"""Of a child that ended when nobody was left who could say how."""
_LENGTH: Final = struct.Struct("!I")
_NUMBER: Final = struct.Struct("!q")
_ROOM_FOR_COMMAND: Final = "." * 240
"""The parent's last argument, overwritten by a child's command line."""
_READY: Final = b"!"
_LATE: Final = (
    "services.cli.main", "services.cli.commands.serve", "services.cli.output", "services.local.data_dir",
    "projections.migrations", "anyio._backends._asyncio", "anyio.streams.tls", "httpcore2",
    "openai.resources", "truststore",
)  # fmt: skip


class Forked:
    """A process from a fork server.

    It has what is used of a Popen. Its pidfd means it and no other.
    """

    def __init__(self, connection: socket.socket, command: Sequence[str]) -> None:
        """Raises OSError or EOFError when the server is gone."""
        self.args = list(command)
        self.returncode: int | None = None
        self._connection = connection
        data, fds, _, _ = socket.recv_fds(connection, _NUMBER.size, 1)
        if not fds:
            raise EOFError("the fork server is gone")
        self._pidfd = fds[0]
        self.pid: int = _NUMBER.unpack(data)[0]

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._code()
            os.close(self._pidfd)
            self._connection.close()
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _code(self) -> int:
        self._connection.settimeout(STATUS_S)
        try:
            return os.waitstatus_to_exitcode(_NUMBER.unpack(_receive(self._connection, _NUMBER.size))[0])
        except (OSError, EOFError):
            return UNKNOWN_CODE


F = TypeVar("F", bound=Forked)


def ask(
    connection: socket.socket,
    command: Sequence[str],
    env: Mapping[str, str],
    fds: Sequence[int],
    *,
    cwd: Path | None = None,
    umask: int = 0o022,
    kind: type[F] = Forked,  # type: ignore[assignment]
) -> F:
    """The other side's fork becomes `command`, `[python, -m, module, …]`. Raises OSError or EOFError.

    `fds`: its stdout, its stderr, and perhaps its lifeline.
    """
    interpreter, flag, *words = command
    assert (interpreter, flag) == (sys.executable, "-m"), command
    request = {"words": words, "env": dict(env), "cwd": str(cwd or Path.cwd()), "umask": umask}
    body = json.dumps(request).encode()
    message = _LENGTH.pack(len(body)) + body
    sent = socket.send_fds(connection, [message], list(fds))
    connection.sendall(message[sent:])
    return kind(connection, command)


class WarmParent:
    """The supervisor's side: starts the parent and asks it to fork.

    One that died or froze is replaced.
    """

    def __init__(self, log_path: Path, env: Mapping[str, str]) -> None:
        """`env` is all that the parent knows, and must hold no secret."""
        self._log_path = log_path
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def _start(self) -> None:
        self._is_ready = False
        self._control, theirs = socket.socketpair()
        with theirs, self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), _ROOM_FOR_COMMAND],
                env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def ready(self) -> bool:
        if not self._is_ready and select.select([self._control], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                self._is_ready = self._control.recv(1) == _READY
        return self._is_ready

    async def wait_ready(self, timeout_s: float) -> None:
        """Until it is ready, has died, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.ready and self._process and self._process.poll() is None:
                    await asyncio.sleep(0.02)

    def fork(
        self, command: Sequence[str], env: Mapping[str, str], log: IO[bytes], lifeline: int
    ) -> Forked | None:
        """As Popen, in a session of its own. None: start it from nothing.

        After a death or five silent seconds a new parent is on its way.
        """
        if not self.ready:  # it still imports; or it cannot, and another could not either
            return None
        connection, theirs = socket.socketpair()
        connection.settimeout(ANSWER_S)
        try:
            with theirs:
                socket.send_fds(self._control, [_READY], [theirs.fileno()])
            return ask(connection, command, env, [log.fileno(), log.fileno(), lifeline])
        except (OSError, EOFError):
            connection.close()
            self.close()
            self._start()
            return None

    def close(self) -> None:
        """End the parent; what it has forked goes on."""
        self._control.close()
        if self._process:
            self._process.kill()
            self._process.wait()


class ForkServer:
    """The parent's side: it forks for each connection.

    It knows nothing of what the child is told.
    """

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._waiting: dict[int, socket.socket] = {}
        self._awake, writer = os.pipe()
        for end in (self._awake, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Fork until the other side is gone."""
        while True:
            ready, _, _ = select.select([self._door.fileno(), self._awake], [], [], self.look_s)
            if self._awake in ready:
                os.read(self._awake, 4096)
            self._reap()
            if self._door.fileno() in ready:
                connection = self.accept()
                if connection is None:
                    return
                self._fork(connection)
            elif self.is_over():
                return

    look_s: float | None = None
    """How often to ask `is_over`."""

    def is_over(self) -> bool:
        return False

    def accept(self) -> socket.socket | None:
        """The next connection, which comes through the door; None when nobody is at its other side."""
        _, fds, _, _ = socket.recv_fds(self._door, 1, 1)
        return socket.socket(fileno=fds[0]) if fds else None

    def _fork(self, connection: socket.socket) -> None:
        assert threading.active_count() == 1, threading.enumerate()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for held in (self._door, *self._waiting.values()):
                held.close()
            _become(connection)
        self._waiting[pid] = connection
        pidfd = os.pidfd_open(pid)
        with contextlib.suppress(OSError):  # whoever asked has gone
            socket.send_fds(connection, [_NUMBER.pack(pid)], [pidfd])
        os.close(pidfd)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                with self._waiting.pop(pid) as connection, contextlib.suppress(OSError):
                    connection.sendall(_NUMBER.pack(status))


def _become(connection: socket.socket) -> Never:
    """In the new process: be what was asked for, and end."""
    code, former = 1, (sys.stdout, sys.stderr)
    try:
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, 1 << 20)
        request, fds = _read_request(connection)
        connection.close()
        os.setsid()
        os.chdir(request["cwd"])
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["env"])
        for source, target in ((fds[0], 1), (fds[1], 2)):
            os.dup2(source, target)
            os.close(source)
        if len(fds) == 3:
            os.environ[LIFELINE] = str(fds[2])
        module, *words = request["words"]
        show_as([sys.executable, "-m", module, *words])
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.argv = [module, *words]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
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


def _read_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, fds, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    data += _receive(connection, _LENGTH.size - len(data))
    return json.loads(_receive(connection, _LENGTH.unpack(data)[0])), list(fds)


def _receive(connection: socket.socket, size: int) -> bytes:
    """Raises EOFError when the other side is gone."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError("the other side is gone")
        data += piece
    return bytes(data)


def show_as(command: Sequence[str]) -> None:
    """Let `ps` show this command line, cut to the room there is."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    if begin:
        line = "\0".join(command).encode()[: end - begin - 1]
        ctypes.memmove(begin, line.ljust(end - begin, b"\0"), end - begin)


def prepare() -> None:
    """Import what services import, also late; then what each prepares."""
    from services.migrations.logins import SERVICES
    from services.platform.tls import tls_context

    services = [import_module(f"services.{service}.main") for service in (*SERVICES, "sandbox")]
    for name in _LATE:
        import_module(name)
    tls_context()
    for service in services:
        getattr(service, "prepare", lambda: None)()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    show_as([sys.executable, "-m", "services.local.warm_parent"])
    gc.disable()
    prepare()
    gc.freeze()  # without a collection, whose holes the children would fill, and so copy pages
    gc.enable()
    with contextlib.suppress(OSError):
        control.sendall(_READY)
        ForkServer(control).serve()


if __name__ == "__main__":
    main()
