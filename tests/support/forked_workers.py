"""Test processes forked from the pytest that hands out the tests, once it has imported them: a plugin.

Started from nothing, each would import everything anew, for as much CPU time as it then needs for a good part
of its tests. One that takes the place of one that was killed starts as pytest-xdist starts it.
"""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Never

import pytest

from services.local.warm_parent import prepare


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[object]) -> None:
    """Before the first connection to a test process, and so before the first thread."""
    from execnet import gateway_io

    with warnings.catch_warnings(action="error"):
        _import_all(config)
        prepare()
    assert threading.active_count() == 1, threading.enumerate()
    forked = [_fork() for _ in specs]
    create_io = gateway_io.create_io

    def take_or_create(spec: Any, execmodel: Any) -> Any:
        if forked and spec.popen:
            return _master_of(forked.pop(0), execmodel)
        return create_io(spec, execmodel)

    gateway_io.create_io = take_or_create


def _import_all(config: pytest.Config) -> None:
    """The modules of the tests asked for, by the names under which the test processes will look for them."""
    gc.disable()
    for argument in config.args:
        path = Path(str(argument).partition("::")[0]).absolute()
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            if file.name == "conftest.py" or file.name.startswith("test_"):
                name = ".".join(file.relative_to(config.rootpath).with_suffix("").parts)
                with contextlib.suppress(Exception, pytest.skip.Exception):  # for the test processes to tell
                    import_module(name)
    if source := sys.modules.get("tests.support.source"):
        source.parse_all()
    gc.freeze()
    gc.enable()


class _Forked:
    """What execnet uses of a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def wait(self) -> int:
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(self._status)

    def kill(self) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)


def _fork() -> tuple[int, int, int]:
    """The process, where to write to it, where to read from it."""
    its_input, to_it = os.pipe()
    from_it, its_output = os.pipe()
    pid = os.fork()
    if pid == 0:
        _held.extend((to_it, from_it))
        _become_test_process(its_input, its_output)
    _held.extend((to_it, from_it))
    os.close(its_input)
    os.close(its_output)
    return pid, to_it, from_it


_held: list[int] = []
"""Our ends of the pipes. Who is forked later must not hold those of who was forked before."""


def _master_of(forked: tuple[int, int, int], execmodel: Any) -> Any:
    from execnet.gateway_base import Popen2IO
    from execnet.gateway_io import Popen2IOMaster

    pid, to_it, from_it = forked
    master = Popen2IOMaster.__new__(Popen2IOMaster)
    master.popen = _Forked(pid)
    Popen2IO.__init__(master, os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb"), execmodel)
    return master


def _become_test_process(its_input: int, its_output: int) -> Never:
    """What `python -u -c …` does when execnet starts it."""
    code = 1
    try:
        for fd in _held:
            os.close(fd)
        for source, target in ((its_input, 0), (its_output, 1)):
            os.dup2(source, target)
            os.close(source)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
        code = 0
    finally:
        atexit._run_exitfuncs()
        os._exit(code)
