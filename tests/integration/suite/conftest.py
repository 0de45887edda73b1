"""A small session of pytest in processes of its own, set up as the suite is."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.services import clean_environment

ROOT = Path(__file__).parents[3]
ENDED_WITHIN_S = 240
PLUGINS = [f"-p{name}" for name in ("xdist", "asyncio", "timeout", "tests.support.limits")]
"""Only these, so that each of its processes starts quickly."""
Process = subprocess.Popen[str]
StartSession = Callable[..., Process]


@pytest.fixture
def start_session(tmp_path: Path) -> Iterator[StartSession]:
    """Starts tests given as text, with our configuration and plugin, and options of pytest on top."""
    with contextlib.ExitStack() as started:

        def start(tests: str, *options: str, watched_min: float | None = None) -> Process:
            folder = tmp_path / "session"
            folder.mkdir()
            (folder / "test_small.py").write_text(tests, encoding="utf-8")
            shutil.copy(ROOT / "pyproject.toml", folder)
            python = [sys.executable, "-m"]
            watched = [] if watched_min is None else [*python, "tests.support.watchdog", str(watched_min)]
            process = subprocess.Popen(
                [*watched, *python, "pytest", *PLUGINS, *options, "test_small.py"],
                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env=_environment(),
            )  # fmt: skip
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


def _environment() -> dict[str, str]:
    """Without what makes a session in a session take itself for one of its test processes."""
    environment = clean_environment(PYTHONPATH=ROOT, COLUMNS=200)
    kept = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    return kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def ended(process: Process) -> str:
    """What it said, once it has ended."""
    return process.communicate(timeout=ENDED_WITHIN_S)[0]
