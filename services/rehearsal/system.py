"""A complete system of separate processes: `neurocards up`, as a person would start it, in its own folder.

None of the person's settings reach it, no key of theirs and no database: everything outside is the sandbox,
every server an embedded one.
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
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import services
from services.local import processes
from services.local.data_dir import DataFolder
from services.local.ports import free_port
from services.platform.errors import StartError
from services.platform.parent_death import VARIABLE as LIFELINE
from services.platform.settings import Settings, load_settings, variable_name
from services.rehearsal.running_system import RunningStack

QUICK: Mapping[str, Any] = {
    "JOB_DEADLINE_SECONDS": 20,
    "SANDBOX_RENDER_SECONDS": 1,
    "LEASE_SECONDS": 2,
    "RETRY_BASE_SECONDS": 0.3,
    "KIE_POLL_SECONDS": 0.3,
}
"""Deadlines and pauses of a system that nobody waits minutes for; the code is the same."""

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 40.0
_HOST = "127.0.0.1"
_ROOT = Path(services.__file__).parents[1]


class Stack(RunningStack):
    """One `neurocards up` over `folder`; stop it and start it again, and it goes on where it was."""

    def __init__(self, folder: Path, *, workers: int = 1, **settings: Any) -> None:
        super().__init__(DataFolder(folder / "data"))
        self.folder = folder
        self.workers = workers
        # Chosen once, since after a restart the provider calls back where it was told before.
        ports = {"SANDBOX_PORT": free_port(_HOST), "WEB_PORT": free_port(_HOST)}
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
        """Stop everything in good order, as Ctrl-C does; with SIGKILL, wait until the others have noticed."""
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
        """What the services run with."""
        known = {field: self._settings[variable_name(field)] for field in self._own_fields()}
        return load_settings(
            **known,
            _env_file=None,
            database_url=self.database_url,
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
        """What `neurocards up` itself said: restarts, warnings of all services."""
        return self.folder / "up.log"

    def log_tail(self, name: str, lines: int = 40) -> str:
        """The end of a service's log; `up`: of what the supervisor said."""
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
        """Whether `up` has told its addresses and every service says that it is ready."""
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
        """What our own `up` has written down; never what one before it has left behind.

        Read without looking at the folder's lock: taking that, even for a moment, could refuse it to `up`.
        """
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(self.data.addresses.read_text(encoding="utf-8"))
            return found if self._process is not None and found.get("pid") == self._process.pid else {}
        return {}
