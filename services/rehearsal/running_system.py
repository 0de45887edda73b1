"""A running `neurocards up`, whoever started it: its addresses, its processes, and how to kill one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from services.local import processes
from services.local.data_dir import DataFolder
from services.platform.endpoints import COMPANIES
from services.platform.errors import StartError
from services.platform.settings import Settings, load_settings

_SERVERS = ("postgres", "valkey")


class RunningStack:
    """What it tells of itself in its folder. A subclass says how it is known whose words these are."""

    def __init__(self, data: DataFolder) -> None:
        self.data = data
        self._addresses: dict[str, Any] = {}

    @property
    def database_url(self) -> str:
        return str(self._addresses["database_url"])

    @property
    def redis_url(self) -> str:
        return str(self._addresses["redis_url"])

    @property
    def sandbox_url(self) -> str:
        return str(self._addresses["sandbox_url"])

    def names(self) -> list[str]:
        """The services, also one that is just being started again, e.g. worker-2."""
        return sorted(name for name in self._running_pids() if name not in _SERVERS)

    def facts(self, name: str) -> dict[str, Any]:
        """What a service announced last: pid, ready, its addresses."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.data.run / f"{name}.json").read_text(encoding="utf-8"))
            return found
        return {}

    def pid(self, name: str) -> int:
        """The process id of a service or of postgres or valkey. Raises StartError when it does not run."""
        pids = self._running_pids()
        found = pids.get(name) if name in _SERVERS else self.facts(name).get("pid", pids.get(name))
        if not isinstance(found, int) or not processes.alive(found):
            raise StartError(f"{name} is not running")
        return found

    async def kill(self, name: str) -> int:
        """SIGKILL one process, and return its id once it is gone; the supervisor starts it again."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        await self._until(lambda: not processes.alive(pid), 10, f"{name} to be gone after SIGKILL")
        return pid

    async def back(self, name: str, killed: int, timeout_s: float = 40) -> None:
        """Until a process that was killed runs again and is ready."""

        def is_back() -> bool:
            is_server = name in _SERVERS
            facts = {"pid": self._running_pids().get(name), "ready": True} if is_server else self.facts(name)
            pid, ready = facts.get("pid"), facts.get("ready")
            return isinstance(pid, int) and pid != killed and bool(ready) and processes.alive(pid)

        await self._until(is_back, timeout_s, f"{name} to run again")

    def _told(self) -> dict[str, Any]:
        """What `up` has written down last; empty when it does not run."""
        raise NotImplementedError

    def _still(self) -> None:
        """Raises StartError when it is known to have ended."""

    def _running_pids(self) -> dict[str, Any]:
        pids: dict[str, Any] = self._told().get("pids", {})
        return pids

    async def _until(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            self._still()
            if time.monotonic() > deadline:
                raise StartError(f"waited {timeout_s:g} s for {what}")
            await asyncio.sleep(0.05)


# The running `neurocards up` of this folder. Nothing else is ever struck.
#
# It identifies itself: its lock on the folder is held, its `up.json` says that it started both servers
# itself,
# on sockets below the folder, and that it speaks to the sandbox only. With a DATABASE_URL, a REDIS_URL or the
# key of one company there is no drill.


class DrillRefusedError(StartError):
    """What runs here is not to be broken; the message says why."""


class LocalStack(RunningStack):
    """The system that runs on the settings' data folder. Raises DrillRefusedError."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(DataFolder(settings.data_dir))
        self._addresses = self._told()
        if (reason := refusal(self._addresses, str(self.data.socket_folder()))) is not None:
            raise DrillRefusedError(f"no drill on {self.data.root}: {reason}")
        self.settings = load_settings(
            database_url=self.database_url, redis_url=self.redis_url, sandbox_url=self.sandbox_url
        )

    def _told(self) -> dict[str, Any]:
        return self.data.running_addresses()


def refusal(told: dict[str, Any], sockets: str) -> str | None:
    """Why a system that says this of itself is not to be broken; None: it may be."""
    if not told:
        return "no `neurocards up` runs there; start one with `make run`"
    if set(told.get("embedded", ())) != {"Postgres", "Valkey"}:
        return "its databases are not its own: DATABASE_URL or REDIS_URL is set"
    for name in ("database_url", "redis_url"):
        if sockets not in unquote(str(told.get(name))):
            return f"{name} is not a socket below {sockets}"
    real = [company for company in COMPANIES if company not in told.get("sandbox_for", ())]
    if real:
        return f"it speaks to {', '.join(real)} for real"
    return None
