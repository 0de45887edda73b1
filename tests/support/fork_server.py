"""`python -m MODULE …` as a real process that starts at once: forked from one that has imported everything.

Our services and commands spend most of a test's time on importing, and a suite starts hundreds of them. One
fork server per test session imports once. What comes out of it is a process of its own, in a session of its
own, with its own environment, folder, arguments and output; SIGKILL means SIGKILL. That each command also
starts from nothing is shown by the tests of `up`, of the compose file and of the command line.

How: services/local/warm_parent.py, which forks the services of `up` likewise.
"""

import atexit
import base64
import fcntl
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from services.local.warm_parent import Forked, ask
from tests.support import servers

ROOT = Path(__file__).parents[2]
_ANSWER_S_MAX = 120.0


class Child(Forked):
    """One process from the fork server."""

    lifeline: int | None = None
    """What it ends with; closed when it has ended, and with this process."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises TimeoutExpired."""
        code = super().wait(timeout)
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None
        return code


def start(
    module: str,
    *words: str,
    cwd: Path,
    env: Mapping[str, str],
    out: IO[Any],
    err: IO[Any],
    lifeline: int | None = None,
    umask: int = 0o022,
    server: Path | None = None,
) -> Child:
    """`python -m module words`, with nothing on stdin; from the session's server unless another is given."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_ANSWER_S_MAX)
    connection.connect(str(server or session()))
    fds = [out.fileno(), err.fileno(), *([] if lifeline is None else [lifeline])]
    command = [sys.executable, "-m", module, *words]
    return ask(connection, command, env, fds, cwd=cwd, umask=umask, kind=Child)


def call(function: Callable[..., None], *arguments: Any, pipe: Connection | None = None) -> Child:
    """A function of a module of ours in a process of its own, which ends with this one.

    With `pipe` the function gets that connection as its last argument, and ends when ours is closed.
    """
    packed = base64.b64encode(pickle.dumps((function, arguments, pipe is not None))).decode()
    reader, writer = (os.dup(pipe.fileno()), None) if pipe else os.pipe()
    assert sys.__stdout__ and sys.__stderr__
    try:
        child = start(
            "tests.support.fork_call", packed,
            cwd=ROOT, env=os.environ, out=sys.__stdout__, err=sys.__stderr__, lifeline=reader,
        )  # fmt: skip
    finally:
        os.close(reader)
    child.lifeline = writer
    return child


def neurocards(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float = 120,
    umask: int = 0o022,
    server: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `neurocards words` to its end, as subprocess.run would."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = start("services.cli", *words, cwd=cwd, env=env, out=out, err=err, umask=umask, server=server)
        try:
            code = child.wait(timeout)
        except BaseException:
            child.kill()
            child.wait(60)
            raise
        texts = [os.pread(file.fileno(), 1 << 28, 0).decode() for file in (out, err)]
    return subprocess.CompletedProcess(list(words), code, *texts)


def session() -> Path:
    """The session's fork server, started by whichever test process needs it first."""
    pid = servers.session_pid()
    folder = servers.session_folder(pid)
    path = folder / "fork-server"
    with (folder / "fork-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _started.append(serve(path, pid))
    return path


def serve(path: Path, watched_pid: int, root: Path = ROOT) -> "subprocess.Popen[bytes]":
    """A fork server at the socket `path`, of the source at `root`; it ends with the watched process."""
    with path.with_suffix(".log").open("wb") as log, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen(128)
        numbers = (str(listener.fileno()), str(watched_pid))
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server_main", *numbers],
            cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, pass_fds=(listener.fileno(),), start_new_session=True,
        )  # fmt: skip
    Path(f"{path}.new").rename(path)
    return server


_started: "list[subprocess.Popen[bytes]]" = []


@atexit.register
def _leave_to_session() -> None:
    """It ends with the session, not with us; at the interpreter's end Popen need not complain."""
    for process in _started:
        process.returncode = process.poll() or 0
