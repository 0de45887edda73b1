"""One supervised process: started, watched, started again when it dies."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.platform.errors import StartError
from services.platform.parent_death import VARIABLE as LIFELINE

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 15.0
STEADY_S = 30.0
"""A process that ran so long is started again without delay."""


@dataclass(frozen=True)
class Spec:
    """What to run."""

    name: str
    """Tells two of a kind apart, e.g. worker-2; also the name of its log."""
    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Child:
    """Runs one Spec in a session of its own, so that Ctrl-C in the terminal reaches only its supervisor."""

    def __init__(
        self,
        spec: Spec,
        log_path: Path,
        ready_file: Path,
        lifeline_fd: int,
        say: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self.log_path = log_path
        self.ready_file = ready_file
        self.restarts = 0
        self._lifeline_fd = lifeline_fd
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def start(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        env = {
            **os.environ,
            **self.spec.env,
            LIFELINE: str(self._lifeline_fd),
            "READY_FILE": str(self.ready_file),
        }
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.spec.command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lifeline_fd,),
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def facts(self) -> dict[str, Any]:
        """What the process announced: ready, health_url, and its own."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.ready_file.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) and found.get("pid") == self.pid else {}
        return {}

    async def wait_ready(self, timeout_s: float) -> None:
        """Until it says that it is ready. Raises StartError with the end of its log when it does not."""
        deadline = time.monotonic() + timeout_s
        while not self.facts().get("ready"):
            if not self.running:
                raise StartError(
                    f"{self.spec.name} ended with code {self.exit_code} at its start; {self._tail()}"
                )
            if time.monotonic() > deadline:
                raise StartError(f"{self.spec.name} was not ready within {timeout_s:g} s; {self._tail()}")
            await asyncio.sleep(0.05)

    async def keep_running(self, started_again: Callable[[], None]) -> None:
        """Start it again whenever it has died, more slowly each time. Never returns; cancel it."""
        backoff_s, started_at = FIRST_BACKOFF_S, time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            if self.running or self._stopping:
                continue
            lived_s = time.monotonic() - started_at
            backoff_s = FIRST_BACKOFF_S if lived_s > STEADY_S else backoff_s
            self._say(
                f"{self.spec.name} ended with code {self.exit_code}; starting it again in {backoff_s:g} s"
                f" (its log: {self.log_path})"
            )
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)
            self.restarts += 1
            self.start()
            started_at = time.monotonic()
            started_again()

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL when it has not ended in time."""
        self._stopping = True
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        deadline = time.monotonic() + grace_s
        while self.running and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self.running:
            self._say(
                f"{self.spec.name} did not end within {grace_s:g} s and was killed (its log: {self.log_path})"
            )
            self.kill()
        self.ready_file.unlink(missing_ok=True)

    def kill(self) -> None:
        self._stopping = True
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait(5)

    def _signal(self, signum: signal.Signals) -> None:
        if self.running and self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            return f"the last line of {self.log_path}: {lines[-1] if lines else ''}"
        return f"see {self.log_path}"
