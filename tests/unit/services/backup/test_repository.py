"""Which backup leads to a moment, which expire, and what Postgres is told."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from services.backup.repository import (
    Backup,
    BackupNotFoundError,
    Repository,
    missing,
    number_of,
    segment_of,
    unneeded,
)
from services.backup.restore import choose, recovery
from services.backup.take import without_password
from tests.support.each import each

MONDAY = "2026-11-23T10:00:00.000000Z"
TUESDAY = "2026-11-24T10:00:00.000000Z"


def backup(label: str, ended_at: str, lsn: str = "0/3000028") -> Backup:
    return Backup(label, ended_at, ended_at, 1.0, "18.6", 1, lsn, lsn, 16 << 20, 7, 1, 0, 0, True)


BACKUPS = [backup("monday", MONDAY), backup("tuesday", TUESDAY, "0/5000028")]


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def test_the_newest_backup_that_was_whole_by_then_is_chosen() -> None:
    assert choose(BACKUPS, None, None).label == "tuesday"
    assert choose(BACKUPS, None, at(24, 9)).label == "monday"
    assert choose(BACKUPS, None, at(24, 10)).label == "tuesday"
    assert choose(BACKUPS, "monday", at(25, 1)).label == "monday"


@each(("label", "to"), [(None, at(23, 9)), ("tuesday", at(24, 9)), ("sunday", None)])
def test_no_backup_no_way_back(label: str | None, to: datetime | None) -> None:
    with pytest.raises(BackupNotFoundError):
        choose(BACKUPS, label, to)


def test_old_backups_expire_with_the_wal_that_only_they_needed(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.wal.mkdir()
    for number in range(2, 8):
        repository.wal_path(f"0000000100000000{number:08X}").touch()
    for one in BACKUPS:
        (repository.folder(one.label) / "postgres").mkdir(parents=True)
        (repository.folder(one.label) / "backup.json").write_bytes(msgspec.json.encode(one))
    (repository.partial("died") / "postgres").mkdir(parents=True)
    assert repository.find(None) == BACKUPS[1] and repository.find("monday") == BACKUPS[0]

    assert repository.expire(2) == ([], 1)
    assert not repository.partial("died").exists()
    assert repository.expire(1) == (["monday"], 2)
    assert [one.label for one in repository.backups()] == ["tuesday"]
    assert [name[-1] for name in repository.wal_names()] == ["5", "6", "7"]
    assert sorted(os.listdir(tmp_path)) == ["tuesday", "wal"]


def test_a_path_with_anything_in_it_survives_the_shell_and_postgres(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "it's 100%p full")
    command = repository.archive_command(only_with_backups=True)
    assert _ran(command, tmp_path / "f") == 0  # nothing is kept where there are no backups
    repository.prepare()
    (tmp_path / "f").write_bytes(b"wal" * 1000)
    assert _ran(command, tmp_path / "f") == 0
    assert repository.wal_names() == ["000000010000000000000001"]
    assert _ran(command, tmp_path / "f") == 0  # asked again
    assert _ran(repository.restore_command(), tmp_path / "back") == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "f").read_bytes()
    (tmp_path / "f").write_bytes(b"other")
    assert _ran(command, tmp_path / "f") == 1  # never over another
    repository.wal_path("000000010000000000000001").write_bytes(b"damaged")
    assert _ran(repository.restore_command(), tmp_path / "back") > 125  # not the end, but a stop
    repository.wal_path("000000010000000000000001").unlink()
    assert _ran(repository.restore_command(), tmp_path / "back") == 1


def _ran(command: str, path: Path) -> int:
    """As Postgres runs it."""
    for what, word in (("%%", "\0"), ("%p", str(path)), ("%f", "000000010000000000000001"), ("\0", "%")):
        command = command.replace(what, word)
    return subprocess.run(command, shell=True, capture_output=True, check=False).returncode


def test_recovery_ends_at_the_moment_on_the_timeline_in_use(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    settings = recovery(repository, at(24, 9), 3, tmp_path / "pg_wal")
    assert settings["recovery_target_time"] == "2026-11-24 09:00:00+00:00"
    assert settings["recovery_target_timeline"] == "3"
    assert settings["restore_command"].endswith(f"{tmp_path}/pg_wal")
    assert recovery(repository, None, None)["recovery_target_time"] == ""  # over what an earlier one left


def test_no_password_stands_in_a_command_line() -> None:
    assert without_password("postgresql://me:it%27s@db:5432/n?a=b") == (
        "postgresql://me@db:5432/n?a=b",
        "it's",
    )
    assert without_password("postgresql://postgres@/n?host=/run") == (
        "postgresql://postgres@/n?host=/run",
        None,
    )


MIB_16 = 16 << 20
NAMES = [
    "000000010000000000000003", "000000010000000000000003.00000028.backup", "000000010000000000000004",
    "000000010000000000000005.partial", "000000020000000000000005", "00000002.history",
]  # fmt: skip


def test_numbers_go_on_over_the_end_of_a_log_file_and_through_timelines() -> None:
    assert number_of("0000000100000000000000FF", MIB_16) == 255
    assert number_of("000000020000000100000000", MIB_16) == 256
    assert segment_of("1/2A", MIB_16) == 256
    assert number_of("00000002.history", MIB_16) is None


def test_a_missing_file_is_found_and_a_timeline_that_goes_on_is_no_gap() -> None:
    assert missing(NAMES, 3, MIB_16) == []
    assert missing([*NAMES, "000000020000000000000008"], 3, MIB_16) == [6, 7]
    assert missing(NAMES, 1, MIB_16) == [1, 2]
    assert missing([], 1, MIB_16) == []


def test_what_comes_before_the_oldest_backup_goes_and_histories_stay() -> None:
    assert unneeded(NAMES, 4, MIB_16) == NAMES[:2]
    assert unneeded(NAMES, 6, MIB_16) == NAMES[:-1]
    assert unneeded(NAMES, 3, MIB_16) == []
