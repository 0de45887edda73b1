"""The supervisor starts in order, restarts what dies, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from services.local import processes
from services.local import supervisor as supervising
from services.local.data_dir import DataFolder
from services.local.supervisor import ChildProcess, Spec, Supervisor, WarningTail
from services.platform.errors import StartError
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import eventually, eventually_now


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    with short_folder() as root:
        folder = DataFolder(root / "data")
        folder.prepare()
        yield folder


def spec(name: str, mode: str) -> Spec:
    return Spec(name, [sys.executable, str(ROOT / "tests/support/light_service.py"), mode])


def _is_ready_again(child: ChildProcess, old_pid: int) -> bool:
    return child.pid != old_pid and bool(child.facts().get("ready"))


async def test_stages_are_ready_one_after_another_and_end(folder: DataFolder) -> None:
    said: list[str] = []
    async with Supervisor(
        [[spec("first", "good")], [spec("second", "good")]], folder, said.append
    ) as supervisor:
        await supervisor.start()
        pids = supervisor.pids()
        assert set(pids) == {"first", "second"}
        assert all(child.facts()["ready"] for child in supervisor.children)
        assert {os.getsid(pid) for pid in pids.values()} == set(pids.values())  # Ctrl-C reaches none of them
    assert not any(processes.alive(pid) for pid in pids.values())
    assert said == []


async def test_what_dies_is_started_again_and_said(folder: DataFolder) -> None:
    said: list[str] = []
    changes: list[int] = []
    stages = [[spec("worker", "good")]]
    async with Supervisor(stages, folder, said.append, lambda: changes.append(1)) as supervisor:
        await supervisor.start()
        [child] = supervisor.children
        for _ in range(2):
            pid = child.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await eventually(partial(_is_ready_again, child, pid))
            await eventually(lambda: said[-1] == "worker runs again")
    assert child.restarts == len(changes) == 2
    assert re.search(r"worker was killed by SIGKILL; starting it again in 0\.[2-5] s", said[0])
    assert re.search(r"in (0\.[5-9]|1\.0) s", said[2])


async def test_a_process_that_does_not_start_is_shown_with_its_log(folder: DataFolder) -> None:
    stages = [[spec("good", "good"), spec("bad", "cannot-start")]]
    with pytest.raises(
        StartError, match=r"bad ended with code 1 at its start; the last line of .*install it[^\n]*$"
    ):
        async with Supervisor(stages, folder, lambda _: None) as supervisor:
            await supervisor.start()
    assert not any(child.running for child in supervisor.children)


async def test_warnings_are_repeated_on_the_console(folder: DataFolder) -> None:
    said: list[str] = []
    command = [sys.executable, "-m", "tests.support.fake_service", "warns"]
    odd = Spec("odd", command, {**os.environ, "PYTHONPATH": str(ROOT), "HEALTH_PORT": "0"})
    async with Supervisor([[odd]], folder, said.append) as supervisor:
        await supervisor.start()
        await eventually(lambda: said, what="the warning to be repeated")
    assert said[0] == f"odd: something odd ({folder.log_path('odd')})"


def test_a_cause_is_told_in_words_and_once_whatever_service_says_it(tmp_path: Path) -> None:
    said: list[str] = []
    logs = {name: tmp_path / f"{name}.log" for name in ("bot", "worker")}
    tail = WarningTail(logs, said.append)
    lines = (
        '{"level": "error", "event": "redis_away", "reason": "refused", "at": 1}\n{"level": "info"}\n',
        "2026-11-30T12:00:00Z [warning  ] redis_away     at=2 reason='refused'\n"
        "2026-11-30T12:00:00Z [\x1b[33mwarning  \x1b[0m] disk_full      error='no room' at=2\n",
    )
    tail._read_bytes = dict.fromkeys(logs, 0)
    for log, text in zip(logs.values(), lines, strict=True):
        log.write_text(text)
    for _ in range(2):
        tail.read()
    assert said == [
        f"bot: redis away: refused ({logs['bot']})",
        f"worker: disk full: no room ({logs['worker']})",
    ]


async def test_what_is_frozen_is_killed_and_started_again(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    command = [sys.executable, "-m", "tests.support.fake_service", "good"]
    good = Spec("good", command, {**os.environ, "PYTHONPATH": str(ROOT), "HEALTH_PORT": "0"})
    async with Supervisor([[good], [spec("tells-no-address", "good")]], folder, said.append) as supervisor:
        monkeypatch.setattr(supervising, "LIVE_EVERY_S", 0.3)
        await supervisor.start()
        pids = supervisor.pids()
        assert await supervising.is_live(supervisor.children[0].facts()["health_url"])
        os.kill(pids["good"], signal.SIGSTOP)
        await eventually(partial(_is_ready_again, supervisor.children[0], pids["good"]))
        assert supervisor.pids()["tells-no-address"] == pids["tells-no-address"]
    assert said[0] == "good is frozen: no answer to 7 questions; killing it"
    assert said[1].startswith("good was killed by SIGKILL; starting it again")


@pytest.mark.slow
async def test_a_frozen_process_is_stopped_too(folder: DataFolder) -> None:
    async with Supervisor([[spec("frozen", "hangs")]], folder, lambda _: None) as supervisor:
        await supervisor.start()
        [child] = supervisor.children
    assert not child.running


def test_nothing_outlives_a_killed_supervisor(folder: DataFolder) -> None:
    program = f"""
import asyncio
from pathlib import Path
from services.local.data_dir import DataFolder
from services.local.supervisor import ChildProcess, Spec, Supervisor, WarningTail
from tests.integration.services.local.test_supervisor import spec
async def main():
    folder = DataFolder(Path({str(folder.root)!r}))
    async with Supervisor([[spec("a", "good"), spec("b", "good")]], folder, print) as supervisor:
        await supervisor.start()
        print(*supervisor.pids().values(), flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    pids = [int(word) for word in supervisor.stdout.readline().split()]
    assert len(pids) == 2
    supervisor.kill()
    supervisor.wait(60)
    supervisor.stdout.close()
    eventually_now(lambda: not any(processes.alive(pid) for pid in pids), what="the services to end")
