"""Progress of long work goes to stderr: a bar on a terminal, lines with rate and time left elsewhere."""

import sys

import pytest

from services.cli import progress


def test_without_a_terminal_there_are_lines_and_not_too_many(monkeypatch, capsys):
    now = iter((0.0, 5.0, 10.0, 11.0, 30.0))
    monkeypatch.setattr("services.cli.progress.time.monotonic", lambda: next(now))
    with progress.walks("verify", ("chain", "rules"), 1000, 5000) as tell:
        tell("chain", 1500)
        tell("rules", 1400)
        tell("rules", 2000)
        tell("chain", 4000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "verify: 400 of 4,000 events, 40/s, 90 s left",
        "verify: 1,000 of 4,000 events, 33/s, 90 s left",
    ]


def test_work_that_is_soon_done_says_nothing(capsys):
    with progress.walks("verify", ("chain",), 0, 10) as tell:
        tell("chain", 10)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("end", (0, 100))
def test_on_a_terminal_there_is_a_bar(monkeypatch, capsys, end: int):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.walks("verify", ("chain", "rules"), 0, end) as tell:
        tell("chain", end)
    out, err = capsys.readouterr()
    assert out == ""
    assert "chain" in err
    assert "rules" in err


def test_bytes_have_their_rate_and_time_left_too(monkeypatch, capsys):
    now = iter((0.0, 5.0, 20.0))
    monkeypatch.setattr("services.cli.progress.time.monotonic", lambda: next(now))
    with progress.shares("backup", ("database", "files")) as tell:
        tell("database", 1_000_000, 400_000_000)
        tell("database", 100_000_000, 400_000_000)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "backup database: 100 of 400 MB, 5 MB/s, 60 s left\n")


def test_bytes_on_a_terminal_are_bars(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.shares("backup", ("database", "files")) as tell:
        tell("database", 5, 10)
    out, err = capsys.readouterr()
    assert out == "" and "database" in err and "files" in err
