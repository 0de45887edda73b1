"""Services as real processes: started as a person would, killed, frozen, started again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx

from services.platform.parent_death import VARIABLE as LIFELINE
from services.platform.settings import Settings, variable_name
from services.platform.tls import tls_context
from tests.support import fork_server
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
CLI = "services.cli"


def clean_environment(**settings: Any) -> dict[str, str]:
    """This process's environment without any setting of ours, then `settings` (variable names) on top."""
    ours = {variable_name(field) for field in Settings.model_fields} | {LIFELINE}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {name: str(value) for name, value in settings.items()}


class Version(NamedTuple):
    """A source tree, and the fork server that has imported it; None: the session's."""

    root: Path
    server: Path | None = None


class ServiceProcess:
    """`neurocards serve <service>` in a folder of its own, so that no .env of the repository is read.

    Ends with the test process, even when that is killed. `log` is everything it wrote. It starts from the
    fork server, unless `command` is another program. `module` is run in place of the command line's,
    `version` in place of this source.
    """

    def __init__(
        self,
        service: str,
        folder: Path,
        env: Mapping[str, Any],
        *,
        name: str | None = None,
        command: Sequence[str] | None = None,
        module: str = CLI,
        version: Version | None = None,
    ) -> None:
        self.service = service
        self.name = name or service
        self._module = module
        self._version = version or Version(ROOT)
        self._command = list(command or (sys.executable, "-m", module, "serve", service))
        self.folder = folder / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "log"
        self._ready_file = self.folder / "ready.json"
        self._env = clean_environment(
            HEALTH_PORT=0, READY_FILE=self._ready_file, NEUROCARDS_DATA_DIR=self.folder / "data"
        ) | {key: str(value) for key, value in env.items()}
        self.process: subprocess.Popen[bytes] | fork_server.Child | None = None
        self._lifeline: int | None = None

    def start(self, *, wait_s: float | None = PATIENCE_S) -> "ServiceProcess":
        """Start, and unless `wait_s` is None wait until it says it is ready."""
        self._ready_file.unlink(missing_ok=True)
        reader, self._lifeline = os.pipe()
        try:
            with self.log_path.open("ab") as log:
                self.process = self._launch(log, reader)
        finally:
            os.close(reader)
        if wait_s is not None:
            self.wait_ready(wait_s)
        return self

    def _launch(self, log: IO[bytes], lifeline: int) -> "subprocess.Popen[bytes] | fork_server.Child":
        env = self._env | {"PYTHONPATH": str(self._version.root)}
        if self._command[:3] == [sys.executable, "-m", self._module]:
            return fork_server.start(
                self._module, *self._command[3:],
                cwd=self.folder, env=env, out=log, err=log, lifeline=lifeline,
                server=self._version.server,
            )  # fmt: skip
        return subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=env | {LIFELINE: str(lifeline)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lifeline,),
            start_new_session=True,
        )

    def wait_ready(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """What the process announced, once it is ready. AssertionError with its log otherwise."""
        deadline = time.monotonic() + timeout_s
        while not (facts := self.facts).get("ready"):
            if not self.running:
                raise AssertionError(
                    f"{self.name} ended with code {self.exit_code} before it was ready:\n{self.log}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} was not ready within {timeout_s:g} s:\n{self.log}")
            time.sleep(0.02)
        return facts

    @property
    def facts(self) -> dict[str, Any]:
        """What the process has announced so far: pid, health_url, ready, and its own."""
        with contextlib.suppress(FileNotFoundError):
            facts: dict[str, Any] = json.loads(self._ready_file.read_text(encoding="utf-8"))
            return facts
        return {}

    @property
    def health_url(self) -> str:
        return str(self.facts["health_url"])

    def health(self) -> httpx.Response:
        return httpx.get(f"{self.health_url}/health/ready", timeout=PATIENCE_S, verify=tls_context())

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None

    @property
    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        return ""

    def signal(self, signum: signal.Signals) -> None:
        """E.g. SIGSTOP to freeze it, SIGCONT to let it go on."""
        os.kill(self.pid, signum)

    def wait_ended(self, timeout_s: float) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None, f"{self.name} was not started"
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout_s:g} s:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self._let_go()

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """SIGTERM; its exit code. AssertionError with its log when it does not end in time."""
        assert self.process is not None, f"{self.name} was not started"
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)  # also when a test left it frozen
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout_s:g} s:\n{self.log}") from None
        finally:
            self._let_go()

    def restart(self, *, wait_s: float | None = PATIENCE_S) -> "ServiceProcess":
        """Start it again after it ended or was killed; the log goes on."""
        if self.running:
            self.stop()
        return self.start(wait_s=wait_s)

    @contextlib.contextmanager
    def restarted_with(self, **env: Any) -> "Iterator[ServiceProcess]":
        """For a while with other settings."""
        before = self._env
        self._env = before | {key: str(value) for key, value in env.items()}
        try:
            yield self.restart()
        finally:
            self._env = before
            self.restart()

    def _let_go(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


class Services:
    """Starts services for a test with an environment in common, and ends them with it."""

    def __init__(self, folder: Path, env: Mapping[str, Any]) -> None:
        self.folder = folder
        self.env: dict[str, Any] = dict(env)
        self.all: list[ServiceProcess] = []

    def start(
        self,
        service: str,
        *,
        name: str | None = None,
        wait_s: float | None = PATIENCE_S,
        module: str = CLI,
        before: Sequence[str] = (),
        version: Version | None = None,
        **env: Any,
    ) -> ServiceProcess:
        """Start one; `name` tells two of a kind apart, `env` (variable names) comes on top.

        `before`: words that come before the program's, as `ip netns exec`.
        """
        command = [*before, sys.executable, "-m", module, "serve", service] if before else None
        process = ServiceProcess(
            service,
            self.folder,
            self.env | env,
            name=name,
            command=command,
            module=module,
            version=version,
        )
        self.all.append(process)
        return process.start(wait_s=wait_s)

    def end(self) -> None:
        for process in self.all:
            process.kill()

    def logs(self) -> str:
        return "\n".join(f"--- {process.name} ---\n{process.log[-20_000:]}" for process in self.all)


@contextlib.contextmanager
def services_in(folder: Path, env: Mapping[str, Any]) -> Iterator[Services]:
    services = Services(folder, env)
    try:
        yield services
    finally:
        services.end()
