"""Three Postgres under Patroni and one etcd, set as docs/high-availability.md advises; never as root."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from services.local import processes
from services.local.binaries import find_postgres
from services.local.embedded_server import EmbeddedServer
from services.local.processes import free_port
from services.local.system_user import make_runnable, server_user

ROOT: Final = Path(__file__).parents[2]
PATRONI: Final = ROOT / ".venv-ha" / "bin" / "patroni"
HOST: Final = "127.0.0.1"
WELL: Final = ("running", "streaming")
_ADVICE = ROOT / "docs" / "high-availability.md"


def missing() -> str | None:
    """What has to be installed first; None: all is there."""
    if not PATRONI.exists():
        return "Patroni is not installed (`make chaos-ha` does it)"
    if shutil.which("etcd") is None:
        return "no etcd here (Debian's package is `etcd-server`)"
    return None


def recipe(kind: str, **values: str) -> str:
    """The patroni.yml (`yaml`) or the lines for HAProxy in the docs, for this machine."""
    text: str
    (text,) = re.findall(rf"```{kind}\n(.*?)```", _ADVICE.read_text("utf-8"), re.DOTALL)
    for name, value in values.items():
        assert name in text, f"{name} is not in the recipe"
        text = text.replace(name, value)
    return text


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


class Etcd(EmbeddedServer):
    name = "etcd"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "etcd", folder / "etcd.log")
        self.port, self._peers = free_port(HOST), free_port(HOST)

    def start(self) -> None:
        here, peers = f"http://{HOST}:{self.port}", f"http://{HOST}:{self._peers}"
        options = {
            "data-dir": str(self.data), "listen-client-urls": here, "advertise-client-urls": here,
            "listen-peer-urls": peers, "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
        }  # fmt: skip
        program = shutil.which("etcd")
        assert program
        self._run([program, *(f"--{name}={value}" for name, value in options.items())], None, 60)

    def _is_ready(self) -> bool:
        return _listens(self.port)


class Node(EmbeddedServer):
    """One host: Patroni and the Postgres that it starts."""

    name = "Patroni"
    stop_signal = signal.SIGTERM

    def __init__(self, name: str, folder: Path, etcd: Etcd) -> None:
        super().__init__(folder / name / "data", folder / f"{name}.log")
        self.host = name
        self.port, self.rest = free_port(HOST), free_port(HOST)
        self._folder, self._etcd = folder / name, etcd

    def start(self) -> None:
        user, programs = server_user(), find_postgres().folder
        self._folder.mkdir(exist_ok=True)
        (self._folder / "patroni.yml").write_text(
            recipe("yaml", **{
                "name: h1": f"name: {self.host}",
                "0.0.0.0:8008": f"{HOST}:{self.rest}", "h1:8008": f"{HOST}:{self.rest}",
                "h1:2379,h2:2379,h3:2379": f"{HOST}:{self._etcd.port}",
                "0.0.0.0:5432": f"{HOST}:{self.port}", "h1:5432": f"{HOST}:{self.port}",
                "/var/lib/postgresql/data": str(self.data),
                "/usr/lib/postgresql/18/bin": str(programs),
                "10.0.0.0/8 scram-sha-256": f"{HOST}/24 trust",
                "/run/postgresql": str(self._folder),
            })
        )  # fmt: skip
        if user:
            make_runnable(programs, user)
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._run([str(PATRONI), str(self._folder / "patroni.yml")], user, 60)

    def _is_ready(self) -> bool:
        return _listens(self.rest)

    @property
    def postmaster(self) -> int | None:
        return processes.read_pid(self.data / "postmaster.pid")

    def pids(self) -> list[int]:
        """Patroni's, the postmaster's and those of its children."""
        own = [self.postmaster or 0, *_children(self.guard_pid or 0)]
        return [pid for pid in [*own, *_children(own[0])] if pid]

    def strike(self, signum: signal.Signals) -> None:
        """As if the whole host died, froze or went on."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def stop(self) -> None:
        self.strike(signal.SIGCONT)
        postmaster = self.postmaster
        super().stop()
        if postmaster and str(self.data) in processes.command_line(postmaster):
            processes.end(postmaster, signal.SIGQUIT)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class HAProxy(EmbeddedServer):
    """One address that leads to whoever leads."""

    name = "HAProxy"
    stop_signal = signal.SIGUSR1

    def __init__(self, folder: Path, nodes: list[Node]) -> None:
        super().__init__(folder / "haproxy", folder / "haproxy.log")
        self.port = free_port(HOST)
        self._nodes = nodes

    def start(self) -> None:
        program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("no haproxy here (Debian's package is `haproxy`): no failover behind it was tried")
        self.data.mkdir()
        servers = {
            f"server {node.host} {node.host}:5432": f"server {node.host} {HOST}:{node.port} port {node.rest}"
            for node in self._nodes
        }
        lines = recipe("haproxy", **{"*:5000": f"{HOST}:{self.port}", " port 8008": ""}, **servers)
        (self.data / "cfg").write_text(lines)
        self._run([program, "-db", "-f", str(self.data / "cfg")], None, 30)

    def _is_ready(self) -> bool:
        return _listens(self.port)


class PatroniCluster:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.proxy: HAProxy | None = None
        self.etcd = Etcd(folder)
        self.nodes = [Node(f"h{number}", folder, self.etcd) for number in (1, 2, 3)]

    def start(self) -> None:
        self.etcd.start()
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for server in (*([self.proxy] if self.proxy else []), *self.nodes, self.etcd):
            server.stop()

    def behind_haproxy(self) -> None:
        """From now on `url` leads there."""
        self.proxy = HAProxy(self._folder, self.nodes)
        self.proxy.start()

    def url(self, user: str = "postgres") -> str:
        hosts = ",".join(f"{HOST}:{server.port}" for server in ([self.proxy] if self.proxy else self.nodes))
        login = "postgres:owner-password" if user == "postgres" else user
        return f"postgresql://{login}@{hosts}/postgres?target_session_attrs=read-write"

    def members(self) -> dict[str, dict[str, Any]]:
        """As the first node that answers tells it; none while none does."""
        for node in self.nodes:
            with contextlib.suppress(OSError, ValueError):
                answer = urllib.request.urlopen(f"http://{HOST}:{node.rest}/cluster", timeout=2)
                return {member["name"]: member for member in json.load(answer)["members"]}
        return {}

    def by_role(self, role: str) -> Node | None:
        """E.g. the `leader`, the `sync_standby`."""
        names = [
            name for name, found in self.members().items() if found["role"] == role and found["state"] in WELL
        ]
        return next((node for node in self.nodes if node.host in names), None)

    def is_settled(self) -> bool:
        """A leader, a synchronous standby, and a third that streams."""
        found = self.members()
        return sorted(m["role"] for m in found.values()) == ["leader", "replica", "sync_standby"] and all(
            m["state"] == ("running" if m["role"] == "leader" else "streaming") for m in found.values()
        )

    def told(self) -> str:
        """The members, and the ends of their logs."""
        tails = [
            "\n".join(node.log_path.read_text("utf-8", "replace").splitlines()[-40:]) for node in self.nodes
        ]
        return "\n---\n".join([str(self.members()), *tails])

    def reinitialise_stuck(self) -> list[str]:
        """As the runbook says: copy anew who does not come back; their names."""
        found = self.members()
        stuck = [node for node in self.nodes if found.get(node.host, {}).get("state") not in WELL]
        for node in stuck:
            _post(f"http://{HOST}:{node.rest}/reinitialize", force=True)
        return [node.host for node in stuck]

    async def switch_over(self) -> None:
        leader, target = self.by_role("leader"), self.by_role("sync_standby")
        assert leader and target
        await asyncio.to_thread(
            _post, f"http://{HOST}:{leader.rest}/switchover", leader=leader.host, candidate=target.host
        )


def _post(url: str, **body: Any) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=60).read()
