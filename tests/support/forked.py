"""Services as real processes that start at once: forked from a server that has imported them already.

Importing aiogram takes seconds; a test that kills a process at each of several steps cannot wait for that
each time. Everything else is as in `services.py`: own process, own environment, SIGKILL means SIGKILL.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from services.shared.settings import Settings, load_settings, variable_name
from tests.support.services import ServiceProcess

_PRELOADED = ("notifier", "bot")
_context = multiprocessing.get_context("forkserver")


class ForkedService(ServiceProcess):
    """As ServiceProcess, without the seconds that importing takes."""

    def start(self, *, wait_s: float | None = 20) -> "ForkedService":
        self._ready_file.unlink(missing_ok=True)
        _context.set_forkserver_preload([f"services.{name}.main" for name in _PRELOADED])
        process = _context.Process(
            target=_serve, args=(self.service, self.folder, self._env, self.log_path), daemon=True
        )
        process.start()
        self.process = _AsPopen(process)  # type: ignore[assignment]
        if wait_s is not None:
            self.wait_ready(wait_s)
        return self


class _AsPopen:
    """What ServiceProcess uses of a Popen."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def wait(self, timeout_s: float | None = None) -> int:
        import subprocess

        self._process.join(timeout_s)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(f"forked {self.pid}", timeout_s or 0)
        return self._process.exitcode


def _serve(service: str, folder: Path, env: Mapping[str, str], log_path: Path) -> None:
    """In the new process."""
    from services.shared.runtime import run_service

    os.setsid()
    os.chdir(folder)
    with log_path.open("ab", buffering=0) as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    for field in Settings.model_fields:
        os.environ.pop(variable_name(field), None)
    os.environ.update(env)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module = import_module(f"services.{service}.main")
    sys.exit(run_service(module.serve, load_settings(), service))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
