"""`neurocards demo` as a person runs it: its table, its checks, its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.arena import seed
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment

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
