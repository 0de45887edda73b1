"""Every command on real servers: what it says of what is not there, and that stdout holds data alone."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.services.cli.conftest import Run
from tests.support.services import ROOT, clean_environment

WHY = ("--reason", "to see")
NOBODY = "no-such-thing"

ABSENT = [
    ("ledger", "balance", NOBODY),
    ("ledger", "statement", NOBODY),
    ("ledger", "explain", NOBODY),
    ("ledger", "journal", "--user", NOBODY),
    ("ledger", "prove", NOBODY, "--to", "-"),
    ("jobs", "show", NOBODY),
    ("jobs", "list", "--user", NOBODY),
    ("jobs", "retry", NOBODY, *WHY, "--yes"),
    ("jobs", "cancel", NOBODY, *WHY, "--yes"),
    ("jobs", "fail", NOBODY, *WHY, "--yes"),
    ("dead-letters", "show", NOBODY),
    ("dead-letters", "requeue", NOBODY, *WHY, "--yes"),
    ("dead-letters", "drop", NOBODY, *WHY, "--yes"),
    ("credits", "grant", NOBODY, "1", *WHY, "--yes"),
    ("credits", "revoke", NOBODY, "1", *WHY, "--yes"),
    ("models", "pause", NOBODY, *WHY, "--yes"),
    ("models", "resume", NOBODY, *WHY, "--yes"),
    ("models", "history", NOBODY),
    ("payments", "show", NOBODY),
    ("payments", "list", "--user", NOBODY),
    ("payments", "refund", NOBODY, *WHY, "--yes"),
    ("promo", "disable", NOBODY, *WHY, "--yes"),
    ("users", "forget", NOBODY, *WHY, "--yes"),
    ("dashboard", "users", "remove", NOBODY, "--yes"),
    ("backup", "check", NOBODY),
    ("backup", "restore", NOBODY, "--yes"),
]

EMPTY = [
    ("ledger", "journal"),
    ("ledger", "actions", "--actor", "op7"),
    ("ledger", "exceptions"),
    ("ledger", "reads"),
    ("ledger", "trial-balance"),
    ("jobs", "list"),
    ("dead-letters", "list"),
    ("models", "list"),
    ("models", "history"),
    ("payments", "list"),
    ("promo", "list"),
    ("dashboard", "users", "list"),
    ("stats", "errors"),
    ("stats", "times"),
    ("stats", "daily"),
    ("backup", "list"),
]


def test_what_is_not_there_ends_with_4_and_one_line_on_stderr(run: Run, redis_url: str, tmp_path: Path):
    for words in ABSENT:
        done = run(*words, REDIS_URL=redis_url, NEUROCARDS_DATA_DIR=str(tmp_path))
        assert (done.code, done.out) == (4, ""), (words, done)
        assert done.err.count("\n") == 1 and (NOBODY in done.err.lower()), (words, done.err)


def test_where_there_is_nothing_json_is_a_list_all_the_same(run: Run, tmp_path: Path):
    for words in EMPTY:
        done = run(*words, "-o", "json", NEUROCARDS_DATA_DIR=str(tmp_path))
        assert done.code == 0 and isinstance(json.loads(done.out), list), (words, done)
    assert run("jobs", "list").out == "", "no table of nothing"


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path):
    """While the command waits for a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"postgresql://me@127.0.0.1:{server.getsockname()[1]}/x"
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "jobs", "list"], cwd=tmp_path,
            env=clean_environment(PYTHONPATH=ROOT, DATABASE_URL=url),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = server.accept()
        connection.recv(1)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
        connection.close()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("jobs", "list", "--from", "12"), ("jobs", "list", "--class", NOBODY)])
def test_a_wrong_value_is_a_usage_error(run: Run, words: tuple[str, ...]):
    done = run(*words)
    assert (done.code, done.out) == (2, "") and words[2] in done.err
