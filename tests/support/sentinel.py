"""Two Valkeys and the three Sentinels that watch them, set as docs/high-availability.md advises."""

import contextlib
import re
import signal
import socket
from pathlib import Path
from typing import Any, Final

import redis

from services.local.binaries import find_valkey
from services.local.embedded_server import EmbeddedServer
from services.local.processes import free_port
from services.local.valkey import EmbeddedValkey

NAME: Final = "cards"
HOST: Final = "127.0.0.1"
_ADVICE = Path(__file__).parents[2] / "docs" / "high-availability.md"


def advised(first_word: str) -> list[str]:
    """The lines of the recipe that begin so."""
    return re.findall(rf"^ {{4}}({first_word} .+)$", _ADVICE.read_text("utf-8"), re.MULTILINE)


class Server(EmbeddedServer):
    """A Valkey, or a Sentinel, on a port of its own."""

    name = "Valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, name: str, lines: list[str], *mode: str) -> None:
        super().__init__(folder / name, folder / f"{name}.log")
        self.port = free_port(HOST)
        self.pid_file = self.data / "pid"
        self._lines = [
            f"port {self.port}",
            f"bind {HOST}",
            "protected-mode no",
            f"dir {self.data}",
            f"pidfile {self.pid_file}",
            *lines,
        ]
        self._mode = mode

    def start(self) -> None:
        """Its file is written once: Sentinels write theirs, and the servers', anew at a failover."""
        self.data.mkdir(parents=True, exist_ok=True)
        config = self.data / "valkey.conf"
        if not config.exists():
            config.write_text("\n".join([*self._lines, ""]))
        self.stop()
        self._run([str(find_valkey()), str(config), *self._mode], None, 30)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def client(self) -> "redis.Redis":
        """Not one of ours, which refuse a replica."""
        return redis.Redis(HOST, self.port, socket_timeout=5, decode_responses=True)


class WatchedValkey(EmbeddedValkey):
    """A primary and its replica; `url` names the Sentinels, `pid` is the primary's."""

    def __init__(self, folder: Path) -> None:
        lines = [*advised("appendonly"), *advised("maxmemory-policy")]
        first = Server(folder, "valkey-1", lines)
        second = Server(folder, "valkey-2", [*lines, f"replicaof {HOST} {first.port}"])
        self.servers = {server.port: server for server in (first, second)}
        watch = [line.replace(" h1 6379 ", f" {HOST} {first.port} ") for line in advised("sentinel")]
        self.sentinels = [Server(folder, f"sentinel-{n}", watch, "--sentinel") for n in (1, 2, 3)]

    def start(self) -> None:
        for server in (*self.servers.values(), *self.sentinels):
            server.start()

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers.values()):
            server.stop()

    def url(self, database: int = 0) -> str:
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}/{database}"

    def primary(self) -> Server:
        """As the Sentinels say; the last one if they disagree."""
        said: list[Any] = [
            sentinel.client().sentinel_get_master_addr_by_name(NAME) for sentinel in self.sentinels
        ]
        return self.servers[int(said[-1][1])]

    def replica(self) -> Server:
        return next(server for server in self.servers.values() if server is not self.primary())

    def is_settled(self) -> bool:
        """Every Sentinel knows the others and the replica, which follows."""
        for sentinel in self.sentinels:
            told: Any = sentinel.client().sentinel_master(NAME)
            if (told["num-other-sentinels"], told["num-slaves"], told["flags"]) != (2, 1, "master"):
                return False
        return self.replica().client().info("replication").get("master_link_status") == "up"
