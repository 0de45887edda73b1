"""A running `neurocards up`, separate or this machine's, and killing its parts.

None of the person's settings reach a separate one, no key of theirs and no database: everything outside is
the sandbox, every server an embedded one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import services
from services.local import processes
from services.local.data_dir import DataFolder
from services.local.processes import free_port
from services.platform.endpoints import COMPANIES
from services.platform.errors import StartError
from services.platform.parent_death import VARIABLE as LIFELINE
from services.platform.settings import Settings, load_settings, variable_name

QUICK: Mapping[str, Any] = {
    "JOB_DEADLINE_SECONDS": 20,
    "SANDBOX_RENDER_SECONDS": 1,
    "LEASE_SECONDS": 2,
    "RETRY_BASE_SECONDS": 0.3,
    "KIE_POLL_SECONDS": 0.3,
}
"""Deadlines and pauses of a system that nobody waits minutes for; the code is the same."""

_SERVERS = ("postgres", "valkey")
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 40.0
_HOST = "127.0.0.1"
_ROOT = Path(services.__file__).parents[1]


class DrillRefusedError(StartError):
    """What runs here is not to be broken; the message says why."""


class RunningStack:
    """What it tells of itself in its folder. A subclass says how its words are identified."""

    def __init__(self, data: DataFolder) -> None:
        self.data = data
        self._addresses: dict[str, Any] = {}

    @property
    def database_url(self) -> str:
        return str(self._addresses["database_url"])

    @property
    def database_owner_url(self) -> str:
        return str(self._addresses["database_owner_url"])

    @property
    def redis_url(self) -> str:
        return str(self._addresses["redis_url"])

    @property
    def sandbox_url(self) -> str:
        return str(self._addresses["sandbox_url"])

    def names(self) -> list[str]:
        """The services, also ones being restarted, e.g. worker-2."""
        return sorted(name for name in self._running_pids() if name not in _SERVERS)

    def facts(self, name: str) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.data.run / f"{name}.json").read_text(encoding="utf-8"))
            return found
        return {}

    def pid(self, name: str) -> int:
        """Process id of a service, postgres or valkey. Raises StartError when it does not run."""
        pids = self._running_pids()
        found = pids.get(name) if name in _SERVERS else self.facts(name).get("pid", pids.get(name))
        if not isinstance(found, int) or not processes.alive(found):
            raise StartError(f"{name} is not running")
        return found

    async def kill(self, name: str) -> int:
        """SIGKILL one process and wait until it is gone; returns its id."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        await self._until(lambda: not processes.alive(pid), 10, f"{name} to be gone after SIGKILL")
        return pid

    async def back(self, name: str, killed: int, timeout_s: float = 40) -> None:
        def is_back() -> bool:
            is_server = name in _SERVERS
            facts = {"pid": self._running_pids().get(name), "ready": True} if is_server else self.facts(name)
            pid, ready = facts.get("pid"), facts.get("ready")
            return isinstance(pid, int) and pid != killed and bool(ready) and processes.alive(pid)

        await self._until(is_back, timeout_s, f"{name} to run again")

    def _told(self) -> dict[str, Any]:
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


class LocalStack(RunningStack):
    """The system on the settings' data folder; no other is struck. Raises DrillRefusedError.

    It identifies itself: its lock on the folder is held, and its `up.json` says that it started both servers
    itself, on sockets below the folder, and that it speaks to the sandbox only.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(DataFolder(settings.data_dir))
        self._addresses = self._told()
        if (reason := refusal(self._addresses, str(self.data.socket_folder()))) is not None:
            raise DrillRefusedError(f"no drill on {self.data.root}: {reason}")
        self.settings = load_settings(
            database_url=self.database_url,
            database_owner_url=self.database_owner_url,
            redis_url=self.redis_url,
            sandbox_url=self.sandbox_url,
        )

    def _told(self) -> dict[str, Any]:
        return self.data.running_addresses()


def refusal(told: dict[str, Any], sockets: str) -> str | None:
    if not told:
        return "no `neurocards up` runs there; start one with `make run`"
    if set(told.get("embedded", ())) != {"Postgres", "Valkey"}:
        return "its databases are not its own: DATABASE_URL or REDIS_URL is set"
    for name in ("database_url", "database_owner_url", "redis_url"):
        if sockets not in unquote(str(told.get(name))):
            return f"{name} is not a socket below {sockets}"
    real = [company for company in COMPANIES if company not in told.get("sandbox_for", ())]
    if real:
        return f"it speaks to {', '.join(real)} for real"
    return None if told.get("sandbox_url") else "only its databases run: it was started with --infra-only"


class Stack(RunningStack):
    """A separate `neurocards up` over `folder`, which can be stopped and resumed."""

    def __init__(self, folder: Path, *, workers: int = 1, **settings: Any) -> None:
        super().__init__(DataFolder(folder / "data"))
        self.folder = folder
        self.workers = workers
        # Chosen once, since after a restart the provider calls back where it was told before.
        ports = {name: free_port(_HOST) for name in ("SANDBOX_PORT", "WEB_PORT", "DASHBOARD_PORT")}
        self._settings = {**QUICK, **ports, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start, and wait until everything is ready. Raises StartError with the end of the log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._launch()
        try:
            await self._until(self._read_addresses, _START_TIMEOUT_S, "`neurocards up` to be ready")
        except BaseException:
            await self.stop()
            raise

    def _launch(self) -> None:
        reader, self._lifeline = os.pipe()
        try:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "services.cli", "up", "--workers", str(self.workers)],
                    cwd=self.folder,  # where no .env of the person's lies
                    env=self._environment() | {LIFELINE: str(reader)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(reader,),
                    start_new_session=True,
                )
        finally:
            os.close(reader)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop everything cleanly, as Ctrl-C does; with SIGKILL, wait until the others have noticed."""
        pids = [pid for pid in self._running_pids().values() if isinstance(pid, int)]
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                await asyncio.to_thread(self._process.wait, _STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while any(processes.alive(pid) for pid in pids) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._addresses = {}

    @property
    def settings(self) -> Settings:
        known = {field: self._settings[variable_name(field)] for field in self._own_fields()}
        return load_settings(
            **known,
            _env_file=None,
            database_url=self.database_url,
            database_owner_url=self.database_owner_url,
            redis_url=self.redis_url,
            sandbox_url=self.sandbox_url,
            data_dir=self.data.root,
        )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def log_path(self) -> Path:
        """Output of `neurocards up` itself: restarts, warnings of all services."""
        return self.folder / "up.log"

    def log_tail(self, name: str, lines: int = 40) -> str:
        path = self.log_path if name == "up" else self.data.logs / f"{name}.log"
        with contextlib.suppress(OSError):
            return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""

    def _environment(self) -> dict[str, str]:
        ours = {variable_name(field) for field in Settings.model_fields}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        path = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))
        quiet = {
            "PYTHONPATH": path,
            "NEUROCARDS_DATA_DIR": self.data.root,
            "LOG_FORMAT": "json",
        }
        return kept | {name: str(value) for name, value in {**quiet, **self._settings}.items()}

    def _own_fields(self) -> list[str]:
        return [field for field in Settings.model_fields if variable_name(field) in self._settings]

    def _read_addresses(self) -> bool:
        found = self._told()
        started = self.names()
        # `found` too: what was not there when it was read may be there now.
        if not found or not started or not all(self.facts(name).get("ready") for name in started):
            return False
        self._addresses = found
        return True

    def _still(self) -> None:
        if self.exit_code is not None:
            raise StartError(f"`neurocards up` ended with code {self.exit_code}:\n{self.log_tail('up', 15)}")

    def _told(self) -> dict[str, Any]:
        """Contents of our own `up`'s file; never of an earlier one.

        Read without looking at the folder's lock: taking that, even for a moment, could refuse it to `up`.
        """
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(self.data.addresses.read_text(encoding="utf-8"))
            return found if self._process is not None and found.get("pid") == self._process.pid else {}
        return {}
