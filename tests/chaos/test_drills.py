"""`neurocards drill` as an operator runs it, each on the same running system, one after another."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.cli.commands.drill import What
from services.rehearsal.system import Stack
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Of its own: a restore takes away what other tests still want to count."""
    with short_folder() as folder:
        running = Stack(folder, JOB_DEADLINE_SECONDS=60)
        asyncio.run(running.start())
        try:
            yield running
        finally:
            asyncio.run(running.stop())


def drill(stack: Stack, *words: str) -> "subprocess.CompletedProcess[str]":
    env = clean_environment(PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=stack.data.root, JOB_DEADLINE_SECONDS=60)
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "drill", *words],
        cwd=stack.folder, env=env, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("what", [what.value for what in What])
def test_everybody_is_served_and_every_promise_kept(own_stack: Stack, what: str) -> None:
    done = drill(own_stack, what, "--yes", "-o", "json")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{own_stack.log_tail('up')}"
    (row,) = json.loads(done.stdout)
    assert row["drill"] == what and row["problems"] == "none"
    assert row["sellers"] >= 6 and row["served_again_s"] > 0


def test_it_is_not_done_without_yes(own_stack: Stack) -> None:
    pid = own_stack.pid("valkey")
    done = drill(own_stack, "kill-redis")
    assert done.returncode == 2 and "--yes" in done.stderr
    assert own_stack.pid("valkey") == pid
    os.kill(pid, 0)
