"""`neurocards demo` as a person runs it: its table, its checks, its exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.arena import seed
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import eventually_now

CYCLES = 6


def demo(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run it in `folder`, with its temporary files there too."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "demo", *options],
        cwd=folder,
        env=clean_environment(PYTHONPATH=ROOT, TMPDIR=folder),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.chaos
def test_a_small_run_passes_and_leaves_nothing() -> None:
    with short_folder() as folder:
        done = demo(
            folder, "--cycles", str(CYCLES), "--workers", "2", "--seed", str(seed.chosen()), "-o", "json"
        )

        left_behind = os.listdir(folder)

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["seed"] == seed.chosen()
    assert [row["cycle"] for row in report["cycles"]] == list(range(1, CYCLES + 1))
    assert all(row["outcome"] != "FAILED" for row in report["cycles"])
    assert len(report["checks"]) >= 8
    assert all(row["result"] == "ok" for row in report["checks"])
    assert left_behind == []


@pytest.mark.chaos
def test_a_kept_run_can_be_audited_with_the_commands_it_prints() -> None:
    with short_folder() as folder:
        done = demo(folder, "--cycles", "1", "--keep")
        assert done.returncode == 0, done.stderr
        data, command = re.findall(r"^    NEUROCARDS_DATA_DIR=(\S+) neurocards (.*)$", done.stderr, re.M)[0]
        questions = re.findall(r"^    neurocards (.*?) *(?:#.*)?$", done.stderr, re.M)
        (removal,) = re.findall(r"^    (rm -r .*)$", done.stderr, re.M)
        env = clean_environment(PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=data)
        neurocards = [sys.executable, "-m", "services.cli"]

        with subprocess.Popen([*neurocards, *command.split()], cwd=folder, env=env) as databases:
            eventually_now((Path(data) / "run/up.json").exists)
            answers = {
                words: subprocess.run(
                    [*neurocards, *words.split()],
                    cwd=folder,
                    env=env,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                for words in questions
            }
            databases.send_signal(signal.SIGTERM)
        subprocess.run(removal, shell=True, check=True)

        left_behind = os.listdir(folder)

    assert [*answers] == ["ledger verify", "ledger trial-balance", questions[2]]
    assert re.search(r"^ total +(\d+) +\1 +0$", answers["ledger trial-balance"], re.M)
    assert re.search(r"job( 1 of \d)? queued", answers[questions[2]])
    assert left_behind == []
