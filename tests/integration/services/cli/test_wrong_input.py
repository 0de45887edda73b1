"""Whatever is typed for whichever parameter of whichever command: words and an exit code, no traceback."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.cli.commands.replay import actions as replaying
from services.cli.errors import ExitCode
from tests.integration.services.cli.conftest import COMMANDS, Run, given
from tests.support import fork_server
from tests.support.services import ROOT, clean_environment
from tests.support.traffic import Traffic

ELSEWHERE = {"demo", "doctor", "drill", "migrate", "serve", "top", "up", "backup take"}
"""They run on, or have nothing but choices and numbers."""

TEXTS = ("", "9" * 20, "0001-01-01", "☃\x1b[2J'; --")

SHARED = {"reason", "limit", "since"}
"""Parameters that are the same wherever they are: one command is enough."""


def values(parameter: Any, folder: Path) -> tuple[str, ...]:
    kind = str(parameter.type_descriptor.annotation)
    if getattr(parameter, "is_flag", False) or parameter.name == "output":
        return ()
    if "int" in kind:
        return ("9" * 20,)
    if "Literal" in kind or "enum" in kind:
        return ("x",)
    files = (str(folder), str(folder / "bytes"), str(folder / "none" / "x"))
    return (*TEXTS, *files) if "Path" in kind or "FILE" in (parameter.metavar or "") else TEXTS


@pytest.mark.slow
@pytest.mark.parametrize("group", sorted({words.split()[0] for words in COMMANDS.keys() - ELSEWHERE}))
async def test_no_parameter_of_any_command_ends_in_a_traceback(
    group: str, run: Run, traffic: Traffic, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replaying, "_make_way", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    await traffic.play(10)
    data = str(tmp_path / "data")

    def attempt() -> None:
        tried = set[str]()
        for words in (words for words in COMMANDS.keys() - ELSEWHERE if words.split()[0] == group):
            for parameter in COMMANDS[words].params:
                for value in () if parameter.name in tried else values(parameter, tmp_path):
                    done = run(*given(words, parameter, value), REDIS_URL=redis_url, NEUROCARDS_DATA_DIR=data)
                    assert done.code in set(ExitCode), (words, parameter.name, value)
                    assert done.code == 0 or done.err.strip(), (words, parameter.name, value)
                tried |= {parameter.name} & SHARED

    await asyncio.to_thread(attempt)


def neurocards(*words: Any, folder: Path, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
    return fork_server.neurocards(
        words, cwd=folder, env=clean_environment(NEUROCARDS_DATA_DIR=folder, **env), timeout=60
    )


def started(*words: Any, folder: Path, **how: Any) -> "subprocess.CompletedProcess[str]":
    """The same from nothing, where the start itself matters."""
    command: list[Any] = [sys.executable, "-m", "services.cli", *words]
    env = clean_environment(PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=folder)
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run(command, cwd=folder, env=env, text=True, timeout=60, check=False, **how)


DEFECT = """
import sys
from services.cli import __main__
from services.cli.commands import migrate

def defect() -> None:
    raise ZeroDivisionError("postgresql://me:hushhush@host/x")

migrate.migrate = defect
sys.argv = ["neurocards", "migrate"]
__main__.main()
"""


@pytest.mark.parametrize("logs", [True, False])
def test_what_nobody_foresaw_is_kept_in_a_file_and_told_in_a_line(tmp_path: Path, logs: bool):
    if logs:
        (tmp_path / "logs").mkdir()
    env = clean_environment(PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=tmp_path, TMPDIR=tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", DEFECT], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "a defect of neurocards: ZeroDivisionError" in done.stderr and "hushhush" not in done.stderr
    (kept,) = (tmp_path / "logs" if logs else tmp_path).glob("defect-*.log")
    assert str(kept) in done.stderr and stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "Traceback" in kept.read_text() and "hushhush" not in kept.read_text()


def test_bytes_that_are_no_text_are_a_wrong_usage(tmp_path: Path):
    done = started("jobs", "show", b"\xff\xfe", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "UTF-8" in done.stderr


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_no_trouble(tmp_path: Path, closed: int):
    words = f"exec {sys.executable} -m services.cli jobs cancel j --reason r {closed}>&-"
    env = clean_environment(PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=tmp_path)
    done = subprocess.run(
        ["sh", "-c", words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_who_reads_and_leaves_hears_no_complaint(tmp_path: Path):
    reader, writer = os.pipe()
    os.close(reader)
    done = started("doctor", folder=tmp_path, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_is_said(tmp_path: Path):
    with Path("/dev/full").open("w") as full:
        done = started("doctor", folder=tmp_path, stdout=full)
    assert done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_while_the_program_loads_is_130(tmp_path: Path):
    """A signal at each of many moments of a start, from the first import of ours on."""
    code = "import os, signal, sys\nfrom services.cli import __main__\n" + (
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == module: os.kill(os.getpid(), signal.SIGINT)\n"
        "module, sys.argv[1:] = sys.argv[1], ['jobs', 'list']\n"
        "sys.meta_path.insert(0, Finder())\n"
        "__main__.main()\n"
    )
    env = clean_environment(PYTHONPATH=ROOT)
    for module in ("services.cli.main", "typer", "services.cli.commands.jobs.commands"):
        done = subprocess.run(
            [sys.executable, "-c", code, module], cwd=tmp_path, env=env, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", ""), module


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


def test_what_a_newer_version_has_migrated_is_said_and_stays(run: Run, database_url: str, tmp_path: Path):
    sql = "INSERT INTO schema_migrations VALUES ('services.migrations', '9999_later.sql', '')"
    asyncio.run(_execute(database_url, sql))
    done = neurocards("migrate", folder=tmp_path, env={"DATABASE_URL": database_url})
    assert done.returncode == 0 and "9999_later.sql" in done.stderr and "newer" in done.stderr
    assert run("jobs", "list").code == 0
    found = neurocards("doctor", "-o", "jsonl", folder=tmp_path, env={"DATABASE_URL": database_url}).stdout
    assert "9999_later.sql" in found and "newer than this program" in found


def test_a_migration_that_cannot_be_applied_is_named(run: Run, database_url: str, empty_database_url: str):
    asyncio.run(_execute(database_url, "DELETE FROM schema_migrations WHERE name = '0002_payments.sql'"))
    done = run("migrate")
    assert done.code == 1 and "0002_payments.sql cannot be applied" in done.err and "exists" in done.err
    assert "0002_payments.sql; run `neurocards migrate`" in run("models", "pause", "m",
                                                                "--reason", "r", "--yes").err  # fmt: skip
    asyncio.run(_execute(empty_database_url, "CREATE TABLE schema_migrations (version integer)"))
    other = run("migrate", DATABASE_URL=empty_database_url)
    assert other.code == 1 and len(other.err) > 20
