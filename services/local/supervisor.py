"""Supervises processes: ordered start, restarts, repeated warnings, stop; leaves none behind.

When the supervisor itself is killed, each process sees the end of its lifeline and ends: see
services/platform/parent_death.py.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from services.local.data_dir import DataFolder
from services.local.log_rotation import rotate_logs
from services.local.warm_parent import UNKNOWN_CODE, Forked, WarmParent
from services.platform.backoff import backoff_s
from services.platform.errors import StartError
from services.platform.parent_death import VARIABLE as LIFELINE

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 20.0
"""Longer than any service takes (services/platform/process.py, services/worker/worker.py)."""
STEADY_S = 30.0
"""A process that ran so long is started again without delay."""
LIVE_EVERY_S = 5.0
"""How often a process is asked whether its loop turns, and how long it may take to answer."""
UNANSWERED_MAX = 7
"""More than the 30 s after which a process ends itself and says where it stood (platform/watchdog.py)."""
_LOOK_AT_LOGS_S = 0.3
_ROTATE_EVERY_S = 10.0
_LONGEST_LINE = 300
_LEVELS = ("warning", "error", "critical")
_CONSOLE_LINE = re.compile(r"^\S+ \[(?:\x1b\[[0-9;]*m)*(warning|error|critical)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_WHY = re.compile(r"\b(?:reason|error)=('[^']*'|\"[^\"]*\"|\S+)")
_SAY_AGAIN_S = 600.0


@dataclass(frozen=True)
class Spec:
    name: str
    """Tells two of a kind apart, e.g. worker-2; also the name of its log."""
    command: list[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """All of it; nothing of ours is added but how to tell us."""


class ChildProcess:
    """One Spec in its own session: the terminal's Ctrl-C reaches only the supervisor."""

    def __init__(
        self,
        spec: Spec,
        folder: DataFolder,
        lifeline_fd: int,
        say: Callable[[str], None],
        parent: WarmParent | None = None,
    ) -> None:
        self.spec = spec
        self.log_path = folder.log_path(spec.name)
        self.ready_file = folder.run / f"{spec.name}.json"
        self.restarts = 0
        self._lifeline_fd = lifeline_fd
        self._say = say
        self._parent = parent
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._stopping = False

    def start(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        env = {
            **self.spec.env,
            LIFELINE: str(self._lifeline_fd),
            "READY_FILE": str(self.ready_file),
        }
        with self.log_path.open("ab") as log:
            forked = self._parent and self._parent.fork(self.spec.command, env, log, self._lifeline_fd)
            self._process = forked or subprocess.Popen(
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
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.ready_file.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) and found.get("pid") == self.pid else {}
        return {}

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait for the ready file. Raises StartError with the end of its log."""
        deadline = time.monotonic() + timeout_s
        while not self.facts().get("ready"):
            if not self.running:
                raise StartError(f"{self.spec.name} {ending(self.exit_code)} at its start; {self._tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.spec.name} was not ready within {timeout_s:g} s; {self._tail()}")
            await asyncio.sleep(0.05)

    async def keep_running(self, started_again: Callable[[], None]) -> None:
        """Restart it whenever it dies, with back-off. Never returns; cancel it."""
        deaths, started_at, is_back = 0, time.monotonic(), True
        while True:
            await asyncio.sleep(0.1)
            if self.running or self._stopping:
                if not is_back and self.facts().get("ready"):
                    is_back = True
                    self._say(f"{self.spec.name} runs again")
                continue
            is_back = False
            lived_s = time.monotonic() - started_at
            deaths = 1 if lived_s > STEADY_S else deaths + 1
            pause_s = backoff_s(deaths, 0.5, 15.0)
            self._say(
                f"{self.spec.name} {ending(self.exit_code)}; starting it again in {pause_s:.1f} s"
                f" (its log: {self.log_path})"
            )
            await asyncio.sleep(pause_s)
            self.restarts += 1
            started_at = time.monotonic()
            try:
                self.start()
            except OSError as error:
                self._say(f"{self.spec.name} cannot be started: {error}")
            started_again()

    async def end_frozen(self) -> None:
        """Kill it when it leaves seven questions in a row unanswered. Never returns; cancel it.

        Questions are counted, not seconds: a supervisor that stood still itself blames nobody.
        """
        asked, unanswered = self.pid, 0
        while True:
            await asyncio.sleep(LIVE_EVERY_S)
            facts = self.facts()
            if self._stopping or not facts.get("ready") or "health_url" not in facts or self.pid != asked:
                asked, unanswered = self.pid, 0
                continue
            unanswered = 0 if await is_live(facts["health_url"]) else unanswered + 1
            if unanswered >= UNANSWERED_MAX and self.pid == asked:
                self._say(f"{self.spec.name} is frozen: no answer to {unanswered} questions; killing it")
                self._signal(signal.SIGKILL)
                unanswered = 0

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`."""
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


async def is_live(health_url: str) -> bool:
    """Whether the process answers /health/live in time."""
    address = urlsplit(health_url)
    try:
        async with asyncio.timeout(LIVE_EVERY_S):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(b"GET /health/live HTTP/1.0\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False


def ending(code: int | None) -> str:
    """How a process ended, in words; a signal's code is below zero."""
    if code is None or code == UNKNOWN_CODE:
        return "ended"
    return f"ended with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


class Supervisor:
    """`stages` of processes, each started when the one before is ready; stopped in reverse."""

    def __init__(
        self,
        stages: Sequence[Sequence[Spec]],
        folder: DataFolder,
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
        parent: WarmParent | None = None,
    ) -> None:
        self._say = say
        self._parent = parent
        self._changed = changed
        self._logs = folder.logs
        self._reader, self._writer = os.pipe()
        self._stages = [
            [ChildProcess(spec, folder, self._reader, say, parent) for spec in stage] for stage in stages
        ]
        self._tail = WarningTail({child.spec.name: child.log_path for child in self.children}, say)
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def children(self) -> list[ChildProcess]:
        return [child for stage in self._stages for child in stage]

    async def __aenter__(self) -> Self:
        return self

    async def start(self) -> None:
        """Start every stage. Raises StartError when a process does not become ready."""
        self._keepers.append(asyncio.create_task(self._tail.follow(), name="log tail"))
        self._keepers.append(asyncio.create_task(self._rotate(), name="log rotation"))
        if self._parent:
            await self._parent.wait_ready(READY_TIMEOUT_S)
        for stage in self._stages:
            for child in stage:
                child.start()
            await asyncio.gather(*(child.wait_ready(READY_TIMEOUT_S) for child in stage))
            for child in stage:
                name = child.spec.name
                self._keepers.append(
                    asyncio.create_task(child.keep_running(self._changed), name=f"keep {name}")
                )
                self._keepers.append(asyncio.create_task(child.end_frozen(), name=f"ask {name}"))

    async def __aexit__(self, *exc: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for stage in reversed(self._stages):
            await asyncio.gather(*(child.stop(STOP_GRACE_S) for child in stage))
        self._tail.read()
        os.close(self._writer)
        os.close(self._reader)

    async def _rotate(self) -> None:
        while True:
            await asyncio.to_thread(rotate_logs, list(self._logs.glob("*.log")))
            await asyncio.sleep(_ROTATE_EVERY_S)

    def kill(self) -> None:
        for child in self.children:
            child.kill()

    def pids(self) -> dict[str, int]:
        return {child.spec.name: child.pid for child in self.children if child.pid is not None}


class WarningTail:
    """Tells of warnings and errors in services' logs: a line each, once per cause in ten minutes."""

    def __init__(self, logs: Mapping[str, Path], say: Callable[[str], None]) -> None:
        self._logs = logs
        self._say = say
        self._said: dict[str, float] = {}
        self._read_bytes = {name: path.stat().st_size if path.exists() else 0 for name, path in logs.items()}

    async def follow(self) -> None:
        """Never returns; cancel it."""
        while True:
            self.read()
            await asyncio.sleep(_LOOK_AT_LOGS_S)

    def read(self) -> None:
        """Repeat new lines; one that is not whole yet waits."""
        for name, path in self._logs.items():
            try:
                with path.open("rb") as log:
                    if log.seek(0, os.SEEK_END) < self._read_bytes[name]:
                        self._read_bytes[name] = 0  # it was rotated
                    log.seek(self._read_bytes[name])
                    fresh = log.read()
            except OSError:
                continue
            whole = fresh.rpartition(b"\n")[0]
            if whole:
                self._read_bytes[name] += len(whole) + 1
            for line in whole.decode("utf-8", errors="replace").splitlines():
                told = _worth_repeating(line)
                if told and time.monotonic() >= self._said.get(told[0], 0.0):
                    self._said[told[0]] = time.monotonic() + _SAY_AGAIN_S
                    self._say(f"{name}: {told[1]} ({path})")


def _worth_repeating(line: str) -> tuple[str, str] | None:
    """The cause of a warning or error, and words for it; None for other lines."""
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return None
        if not isinstance(entry, dict) or entry.get("level") not in _LEVELS:
            return None
        event, why = str(entry.get("event")), str(entry.get("reason") or entry.get("error") or "")
    elif _CONSOLE_LINE.match(line):
        event, _, rest = _COLOURS.sub("", line).partition("]")[2].strip().partition(" ")
        found = _WHY.search(rest)
        why = found[1].strip("'\"") if found else ""
    else:
        return None
    words = event.replace("_", " ") + (f": {why}" if why else "")
    return event, words if len(words) <= _LONGEST_LINE else f"{words[:_LONGEST_LINE]}…"
