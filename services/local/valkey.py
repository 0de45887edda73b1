"""A real Valkey on a Unix socket, kept on disk by its append-only file."""

import contextlib
import signal
import socket
from pathlib import Path
from urllib.parse import quote

import structlog

from services.local import processes
from services.local.binaries import find_valkey
from services.local.embedded_server import GuardedProgram

logger = structlog.get_logger()

_START_TIMEOUT_S = 60


class EmbeddedValkey:
    """One Valkey in `data`. `durable=False` (tests) keeps nothing on disk."""

    def __init__(
        self, data: Path, sockets: Path, log_path: Path, *, durable: bool = True, databases: int = 16
    ) -> None:
        self.data = data
        self.socket_path = sockets / "valkey.sock"
        self._log_path = log_path
        self._durable = durable
        self._databases = databases
        self.program: GuardedProgram | None = None

    def start(self) -> None:
        """End what still runs on the folder, start, wait until it answers. Raises StartError."""
        self.stop()
        self.data.mkdir(parents=True, exist_ok=True)
        self._end_leftover()
        self.socket_path.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "databases": str(self._databases),
            "dir": str(self.data),
            "pidfile": str(self._pid_file),
            "daemonize": "no",
            "set-proc-title": "no",  # a leftover is recognised by the folder in its command line
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.program = GuardedProgram("Valkey", [str(find_valkey()), *flags], self._log_path, signal.SIGTERM)
        self.program.start()
        self.program.wait_until(self._answers, _START_TIMEOUT_S)

    def stop(self) -> None:
        if self.program:
            self.program.stop()

    def url(self, database: int = 0) -> str:
        """For redis-py; only this user gets to the socket."""
        return f"unix://{quote(str(self.socket_path), safe='/')}?db={database}"

    @property
    def pid(self) -> int | None:
        return processes.read_pid(self._pid_file)

    @property
    def _pid_file(self) -> Path:
        return self.data / "valkey.pid"

    def _answers(self) -> bool:
        """Not only listening: while it loads its file it answers -LOADING."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self.socket_path))
            client.sendall(b"*1\r\n$4\r\nPING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False

    def _end_leftover(self) -> None:
        pid = processes.read_pid(self._pid_file)
        if pid is not None and processes.alive(pid) and str(self.data) in processes.command_line(pid):
            logger.warning("leftover_server_stopped", server="valkey", pid=pid)
            processes.end(pid)
        self._pid_file.unlink(missing_ok=True)
