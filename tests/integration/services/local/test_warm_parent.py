"""Services forked from the warm parent: as if started from nothing, whatever becomes of the parent."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.local import processes, warm_parent
from services.local.warm_parent import UNKNOWN_CODE, Forked, WarmParent
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import PATIENCE_S, eventually_now

TOLD = "tests.support.tells_itself"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def _parent(folder: Path) -> Iterator[WarmParent]:
    parent = WarmParent(folder / "parent.log", clean_environment(PYTHONPATH=ROOT))
    yield parent
    parent.close()


@pytest.fixture
async def parent(_parent: WarmParent) -> WarmParent:
    await _parent.wait_ready(PATIENCE_S)
    assert _parent.ready
    return _parent


class Child:
    """A process that says what it is, and waits for a word or the end of its lifeline."""

    def __init__(self, parent: WarmParent, folder: Path, *words: str, **env: str) -> None:
        self.log = folder / f"{len(list(folder.iterdir()))}.log"
        reader, self.lifeline = os.pipe()
        with self.log.open("wb") as log:
            forked = parent.fork([sys.executable, "-m", TOLD, *words], env, log, reader)
        os.close(reader)
        assert forked is not None, (folder / "parent.log").read_text()
        self.forked: Forked = forked

    def end(self) -> int:
        """As the supervisor's end ends it; the code."""
        os.close(self.lifeline)
        return self.forked.wait(PATIENCE_S)

    def told(self) -> dict[str, Any]:
        eventually_now(lambda: self.log.read_text().endswith("\n"), what="it to tell")
        return dict(json.loads(self.log.read_text()))


async def test_a_child_is_what_a_process_started_from_nothing_would_be(
    parent: WarmParent, folder: Path
) -> None:
    child = Child(parent, folder, "word", "--option", OWN="its own")
    told = child.told()
    assert told["env"] == {"OWN": "its own"}, "nothing of the parent's"
    assert told["words"] == ["word", "--option"]
    assert told["fds"] == 4, "stdin, stdout, stderr, its lifeline"
    assert told["threads"] == 1 and told["sid"] == told["pid"] == child.forked.pid
    assert told["term_is_default"] and told["chld_is_default"]
    shown = processes.command_line(child.forked.pid).split()
    assert shown == [sys.executable, "-m", TOLD, "word", "--option"]
    other = Child(parent, folder, OWN="another's")
    assert other.told()["random"] != told["random"] and other.told()["env"] == {"OWN": "another's"}
    child.forked.terminate()
    assert (child.end(), other.end()) == (-signal.SIGTERM, 0)


async def test_it_ends_with_its_lifeline_not_with_its_parent(parent: WarmParent, folder: Path) -> None:
    child, second = Child(parent, folder), Child(parent, folder)
    child.told()
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    eventually_now(lambda: not processes.alive(parent.pid or 0))
    assert child.forked.poll() is None
    with (folder / "none.log").open("wb") as log:
        assert parent.fork([sys.executable, "-m", TOLD], {}, log, 0) is None, "to be started from nothing"
    assert child.end() == UNKNOWN_CODE, "nobody is left who could say"
    await parent.wait_ready(PATIENCE_S)
    third = Child(parent, folder)
    assert third.told()["pid"] == third.forked.pid, "from the next parent"
    assert (second.end(), third.end()) == (UNKNOWN_CODE, 0)


async def test_a_frozen_parent_hides_no_death_and_is_replaced(
    parent: WarmParent, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child(parent, folder)
    child.told()
    frozen = parent.pid
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)
    child.forked.kill()
    monkeypatch.setattr(warm_parent, "STATUS_S", 0.1)
    monkeypatch.setattr(warm_parent, "ANSWER_S", 0.1)
    assert child.end() == UNKNOWN_CODE
    with (folder / "none.log").open("wb") as log:
        assert parent.fork([sys.executable, "-m", TOLD], {}, log, 0) is None
    assert not processes.alive(frozen) and parent.pid != frozen


def test_one_that_cannot_import_is_not_tried_again(folder: Path) -> None:
    parent = WarmParent(folder / "broken.log", clean_environment(PYTHONPATH=ROOT, PYTHONHOME=folder))
    broken = parent.pid
    assert broken is not None
    try:
        eventually_now(lambda: not processes.alive(broken), what="it to fail")
        with (folder / "none.log").open("wb") as log:
            assert parent.fork([sys.executable, "-m", TOLD], {}, log, 0) is None
        assert parent.pid == broken
    finally:
        parent.close()


def test_it_ends_when_its_supervisor_is_killed(folder: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from services.local.warm_parent import WarmParent
parent = WarmParent(Path({str(folder)!r}) / "other.log", {{"PYTHONPATH": {str(ROOT)!r}}})
print(parent.pid, flush=True)
time.sleep(600)
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    supervisor.kill()
    supervisor.wait(PATIENCE_S)
    supervisor.stdout.close()
    eventually_now(lambda: not processes.alive(pid), what="the parent to end")


def test_nobody_forks_beside_a_thread() -> None:
    """A child of a process with threads may hold their locks for ever."""
    released = threading.Event()
    thread = threading.Thread(target=released.wait)
    thread.start()
    try:
        with pytest.raises(AssertionError, match="Thread"):
            warm_parent.ForkServer._fork(object.__new__(warm_parent.ForkServer), None)  # type: ignore[arg-type]
    finally:
        released.set()
        thread.join()
