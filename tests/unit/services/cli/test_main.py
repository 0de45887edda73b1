"""The command line's manners: fast help, data on stdout, words on stderr, exit codes, no traceback."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from services.cli.commands.serve import Service
from services.platform.errors import SettingsError
from services.platform.settings import load_settings
from tests.support import fork_server
from tests.support.each import each
from tests.support.services import ROOT, clean_environment

HEAVY = {
    "aiogram",
    "aiohttp",
    "asyncpg",
    "av",
    "httpx",
    "openai",
    "PIL",
    "pydantic",
    "redis",
    "structlog",
    "uvloop",
}

MODULES_MAX = 250
"""Python's own and typer's are the most of them."""
LOOK_UP_MODULES_MAX = 700


def neurocards(*arguments: str, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return fork_server.neurocards(arguments, cwd=folder, env=clean_environment(COLUMNS=120, **env))


def test_help_lists_the_commands_and_loads_nothing_heavy(tmp_path: Path) -> None:
    done = neurocards("--help", folder=tmp_path)
    assert done.returncode == 0
    for command in ("up", "serve", "migrate", "doctor"):
        assert f" {command} " in done.stdout
    code = "import sys, services.cli.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = loaded.stdout.split()
    assert HEAVY & set(modules) == set()
    assert len(modules) < MODULES_MAX  # counted and not timed: what makes a command answer at once


def test_a_look_up_loads_little(tmp_path: Path) -> None:
    """Counted and not timed. What it stops for here, no database, comes after nearly everything is loaded."""
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules));"
        "sys.argv[1:] = ['ledger', 'balance', '1']; from services.cli.__main__ import main; main()"
    )
    env = clean_environment(PYTHONPATH=ROOT)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    modules = done.stdout.split()
    assert "DATABASE_URL: is not set" in done.stderr and "asyncpg" in modules
    unwanted = {"aiohttp", "aiogram", "httpx", "openai", "opentelemetry", "pygments", "redis", "rich"}
    assert unwanted & set(modules) == set()
    assert len(modules) < LOOK_UP_MODULES_MAX


def test_version(tmp_path: Path) -> None:
    """From nothing, as a person starts it."""
    command = [sys.executable, "-m", "services.cli", "--version"]
    env = clean_environment(PYTHONPATH=ROOT)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("neurocards 0.")


@each("command", [("serve", "relay"), ("migrate",), ("up",)])
def test_a_wrong_setting_is_one_line_and_exit_code_2(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = neurocards(*command, folder=tmp_path, WEB_PORT="80a")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("WEB_PORT: ")


@each("service", [service.value for service in Service if service is not Service.sandbox])
async def test_a_service_without_its_databases_says_which_setting_is_missing(service: str) -> None:
    module = import_module(f"services.{service}.main")
    with pytest.raises(SettingsError, match=r"^(DATABASE|REDIS)_URL: is not set"):
        await module.serve(load_settings())


def test_a_service_that_misses_a_setting_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    done = neurocards("serve", "relay", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "DATABASE_URL: is not set" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_service_is_a_usage_error(tmp_path: Path) -> None:
    done = neurocards("serve", "nonsense", folder=tmp_path)
    assert done.returncode == 2 and "nonsense" in done.stderr


def test_a_missing_database_is_said_without_a_traceback(tmp_path: Path) -> None:
    done = neurocards("migrate", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("DATABASE_URL: is not set")


def test_doctor_shows_wrong_settings_as_data(tmp_path: Path) -> None:
    done = neurocards("doctor", "-o", "json", folder=tmp_path, BOT_TOKEN="wrong", LEASE_SECONDS="x")
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {"BOT_TOKEN", "LEASE_SECONDS"}
    assert all(row["state"] == "fail" and row["advice"] for row in rows.values())
    assert "2 of 2 checks failed" in done.stderr


def test_doctor_on_a_machine_with_nothing_is_content(tmp_path: Path) -> None:
    done = neurocards("doctor", "-o", "json", folder=tmp_path, SANDBOX_PORT="0", WEB_PORT="0")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["embedded Postgres"]["state"] == rows["embedded Valkey"]["state"] == "ok"
    assert rows["BOT_TOKEN"]["found"] == "not set: telegram is the sandbox"
    assert rows["CHECKPOINT_KEY_FILE"]["found"].startswith("not set")


def test_without_the_secret_that_people_are_remembered_under_nobody_real_is_served(tmp_path: Path) -> None:
    real = {"BOT_TOKEN": "123456:secret-token", "DATABASE_URL": "postgresql://nowhere/x"}
    for words in (("serve", "bot"), ("up",)):
        done = neurocards(*words, folder=tmp_path, **real)
        assert done.returncode != 0
        assert "FORGET_SECRET: is not set" in done.stderr and "Traceback" not in done.stderr


@each(
    ("words", "refused"),
    [
        (("serve", "bot"), "BOT_TOKEN: must"),
        (("serve", "web"), "LEASE_SECONDS: should"),  # and not a word of the bot's token
        (("serve", "web", "--no-env-file"), "DATABASE_URL: is not set"),
    ],
)
def test_a_process_reads_no_secret_of_others_and_no_file_when_told_so(
    tmp_path: Path, words: tuple[str, ...], refused: str
) -> None:
    (tmp_path / ".env").write_text("BOT_TOKEN=malformed\nLEASE_SECONDS=x\n")
    done = neurocards(*words, folder=tmp_path)
    assert done.returncode == 2 and refused in done.stderr, done.stderr
    assert ("BOT_TOKEN" in done.stderr) == ("bot" in words)


def test_doctor_asks_for_the_secret_that_people_are_remembered_under() -> None:
    from services.cli.doctor.machine import check_callback_secret, check_forget_secret

    token = "123456:secret-token"
    assert check_forget_secret(load_settings()).state == "ok"
    missing = check_forget_secret(load_settings(bot_token=token))
    assert (missing.state, missing.name) == ("fail", "FORGET_SECRET") and missing.advice
    callbacks = check_callback_secret(load_settings(bot_token=token))
    assert (callbacks.state, callbacks.name) == ("fail", "CALLBACK_SECRET")
    two = check_callback_secret(load_settings(bot_token=token, callback_secret=f"{'c' * 16},{'b' * 16}"))
    assert (two.state, two.found) == ("ok", "set, 1 older taken: docs/rotation.md")
    both = check_forget_secret(load_settings(bot_token=token, forget_secret="n" * 16 + "," + "o" * 16))
    assert (both.state, both.found) == ("ok", "set, 1 older kept")


def test_doctor_looks_at_the_signing_key(tmp_path: Path) -> None:
    from services.cli.doctor.machine import check_signing
    from services.recovery.checkpoint_files import make_key

    key = make_key(tmp_path / "key", "a-log")
    settings = load_settings(checkpoint_key_file=tmp_path / "key", checkpoint_dir=tmp_path)
    (good,) = check_signing(settings)
    assert (good.state, str(key.public) in good.found) == ("ok", True)
    (tmp_path / "key").chmod(0o644)
    assert [check.state for check in check_signing(settings)] == ["warn"]
    (tmp_path / "key").write_text("nonsense")
    (bad,) = check_signing(settings)
    assert (bad.name, bad.state) == ("CHECKPOINT_KEY_FILE", "fail") and "nonsense" not in bad.found


def test_doctor_finds_a_misspelt_setting(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KIE_API_KEY=abc\nSOMETHING_ELSE=1\n")
    (tmp_path / ".env").chmod(0o600)
    done = neurocards("doctor", "-o", "jsonl", folder=tmp_path, SANDBOX_PORT="0", WEB_PORT="0")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["advice"] for row in rows if row["name"] == ".env"] == ["did you mean KIE_API_KEYS?"]


def test_a_table_in_a_pipe_is_not_cut_to_a_screen(tmp_path: Path) -> None:
    done = neurocards("doctor", folder=tmp_path, SANDBOX_PORT="0", WEB_PORT="0")
    assert any("embedded Postgres" in line and "bin/postgres" in line for line in done.stdout.splitlines())


@each(("reason", "words"), [(" ", "empty"), ("", "empty"), ("x" * 501, "501 characters; at most 500")])
def test_why_is_said_and_short(tmp_path: Path, reason: str, words: str) -> None:
    done = neurocards("credits", "grant", "u", "1", "--reason", reason, folder=tmp_path)
    assert done.returncode == 2 and words in done.stderr
