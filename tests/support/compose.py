"""Reads docker-compose.yml as `docker compose` would, and starts its commands without Docker."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.local.processes import free_port
from tests.support.services import ROOT, ServiceProcess, clean_environment

_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """`${NAME:-default}`, the one form the file uses: the default also stands in for an empty value."""
    return _VARIABLE.sub(lambda match: env.get(match[1]) or match[2] or "", text)


def load(env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with its anchors and variables resolved."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(interpolate(text, env or {}))
    return loaded


def in_order(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names such that each comes after what it depends on."""
    done: list[str] = []
    waiting = dict(services)
    while waiting:
        ready = [
            name for name, service in waiting.items() if not set(service.get("depends_on", {})) & set(waiting)
        ]
        assert ready, f"a circle among {sorted(waiting)}"
        done += ready
        for name in ready:
            del waiting[name]
    return done


@dataclass
class Network:
    """What the names of the compose network are on this machine."""

    database_url: str
    """With {user} where the user's name belongs."""
    redis_url: str
    volumes: Path
    sandbox_port: int
    web_port: int
    secrets: Path
    """What docker/secrets.sh has made."""

    def hold_secrets(self, names: Sequence[str], folder: Path) -> None:
        """Give a container its secrets, as files that any user can read."""
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_text(self.told(name, (self.secrets / name).read_text()))

    def told(self, name: str, secret: str) -> str:
        """The secret with this machine's addresses in it."""
        return secret

    def translate(self, env: Mapping[str, Any], volume: str) -> dict[str, str]:
        """A container's environment, with this machine's addresses, ports and folders in it."""
        translated = {name: "" if value is None else str(value) for name, value in env.items()}
        user = re.match(r"postgresql://(\w+):[^@]*@postgres:5432/neurocards$", translated["DATABASE_URL"])
        assert user, f"unexpected DATABASE_URL {translated['DATABASE_URL']}"
        local = {name: self._local(name, value) for name, value in translated.items()}
        if "REDIS_URL" in translated:
            assert translated["REDIS_URL"].startswith("redis://valkey:6379")
            local["REDIS_URL"] = self.redis_url
        return local | {
            "DATABASE_URL": self.database_url.format(user=user[1]),
            "SANDBOX_PORT": str(self.sandbox_port),
            "WEB_PORT": str(self.web_port),
            "DASHBOARD_PORT": str(free_port("127.0.0.1")),
            "HEALTH_PORT": str(free_port("127.0.0.1")),
            "NEUROCARDS_DATA_DIR": str(self.volumes / volume),
        }

    def _local(self, name: str, value: str) -> str:
        if name.endswith("_HOST"):
            return "127.0.0.1"
        value = value.replace("http://sandbox:8081", f"http://127.0.0.1:{self.sandbox_port}")
        return value.replace("http://web:8080", f"http://127.0.0.1:{self.web_port}")


class Container:
    """One service of the file as a process: its command, its environment, its health check."""

    def __init__(self, name: str, service: Mapping[str, Any], network: Network, folder: Path) -> None:
        self.name = name
        self._service = service
        volume = str(service.get("volumes", ["none:/data"])[0]).partition(":")[0]
        self.env = network.translate(service["environment"], volume)
        if "SECRETS_DIR" in self.env:
            self.env["SECRETS_DIR"] = str(folder / f"{name}-secrets")
            network.hold_secrets(service.get("secrets", ()), folder / f"{name}-secrets")
        command = [sys.executable, "-m", "services.cli", *service["command"]]
        self.process = ServiceProcess(name, folder, self.env, command=command)

    def start(self) -> None:
        self.process.start(wait_s=None)

    def described(self) -> str:
        return f"{self.name} to be healthy; its log:\n{self.process.log}"

    def healthy(self) -> bool:
        """What the file's own health check says; AssertionError with the log when the process has ended."""
        assert self.process.running, f"{self.name} ended with {self.process.exit_code}:\n{self.process.log}"
        how, *command = self._service["healthcheck"]["test"]
        assert how == "CMD"
        command = [sys.executable if word == "python" else word for word in command]
        env = clean_environment(**self.env, PYTHONPATH=ROOT)
        return subprocess.run(command, env=env, capture_output=True, check=False, timeout=120).returncode == 0
