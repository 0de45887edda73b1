"""Embedded Valkey on a Unix socket, persisted by its append-only file."""

import contextlib
import signal
import socket
from pathlib import Path
from urllib.parse import quote

from services.local.binaries import find_valkey
from services.local.embedded_server import EmbeddedServer

_START_TIMEOUT_S = 60


class EmbeddedValkey(EmbeddedServer):
    """Valkey in `data`. `durable=False` (tests) keeps nothing on disk."""

    name = "Valkey"
    stop_signal = signal.SIGTERM

    def __init__(
        self, data: Path, sockets: Path, log_path: Path, *, durable: bool = True, databases: int = 16
    ) -> None:
        super().__init__(data, log_path)
        self.pid_file = data / "valkey.pid"
        self.socket_path = sockets / "valkey.sock"
        self._durable = durable
        self._databases = databases

    def start(self) -> None:
        self.stop()
        self.data.mkdir(parents=True, exist_ok=True)
        self._end_leftover()
        self.pid_file.unlink(missing_ok=True)
        self.socket_path.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "databases": str(self._databases),
            "dir": str(self.data),
            "pidfile": str(self.pid_file),
            "daemonize": "no",
            "set-proc-title": "no",  # a leftover is recognised by the folder in its command line
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._run([str(find_valkey()), *flags], None, _START_TIMEOUT_S)

    def url(self, database: int = 0) -> str:
        return f"unix://{quote(str(self.socket_path), safe='/')}?db={database}"

    def _is_ready(self) -> bool:
        """Not only listening: while it loads its file it answers -LOADING."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self.socket_path))
            client.sendall(b"*1\r\n$4\r\nPING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False
