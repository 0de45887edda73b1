"""The backup folder: BACKUP_DIR, or `backups` in NEUROCARDS_DATA_DIR.

backups/
  20261125T183000Z/        one backup; its name is when it began
    backup.json            what it is
    postgres/              a data folder as pg_basebackup made it, with Postgres's own manifest of checksums
    files/                 blobs/, checkpoints/, checkpoint.key
    files.jsonl            path, size, time and SHA-256 of each of them
  wal/                     every WAL file since the first backup, compressed: the way to moments in between
  archive_wal.sh, fetch_wal.sh
  lock

A backup that is not whole has a dot before its name, and counts as none.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from filecmp import cmp
from pathlib import Path
from shlex import quote

import msgspec

from events.errors import NeurocardsError
from services.local.system_user import make_private, make_reachable, server_user
from services.platform.settings import Settings

WAL_SUFFIX = ".gz"
FETCH = "fetch_wal.sh"
_SCRIPTS = ("archive_wal.sh", FETCH)
_LABEL_FORM = "%Y%m%dT%H%M%SZ"
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_4_GIB = 1 << 32


class BackupError(NeurocardsError):
    """A backup cannot be taken, read or restored; the message says what to do."""


class BackupNotFoundError(BackupError):
    """No backup of this name, or none that reaches the moment."""


class BackupDamagedError(BackupError):
    """Stored data differs from what was backed up; each of `problems` names one place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class RepositoryBusyError(BackupError):
    """Another command is at work on these backups."""


class Backup(msgspec.Struct, frozen=True):
    """Contents of backup.json. Times are the database's, ISO 8601 in UTC.

    `position`: the log's head when it began, so all of it up to there is inside. From `ended_at` on, any
    moment can be reached with the WAL. `blobs`: with photos and videos.
    """

    label: str
    began_at: str
    ended_at: str
    seconds: float
    server_version: str
    timeline: int
    begin_lsn: str
    end_lsn: str
    segment_bytes: int
    position: int
    database_bytes: int
    files: int
    files_bytes: int
    blobs: bool


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.wal = self.root / "wal"

    def prepare(self) -> None:
        """Make the folders; Postgres's user may write to the archive. Raises BackupError."""
        user = server_user()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            make_private(self.root)
            if not self.wal.exists():
                self.wal.mkdir(mode=0o700)
                if user:
                    os.chown(self.wal, user.pw_uid, user.pw_gid)
            owner = self.wal.stat()  # the user of another container's Postgres, perhaps
            for name in _SCRIPTS:
                script, fresh = self.root / name, self.root / f"{name}.new"
                source = Path(__file__).with_name(name)
                if script.exists() and script.stat().st_uid == owner.st_uid and cmp(source, script, False):
                    continue  # so that a full disk does not keep the system from starting
                shutil.copyfile(source, fresh)
                fresh.chmod(0o600)
                if user:
                    os.chown(fresh, owner.st_uid, owner.st_gid)
                fresh.replace(script)
        except OSError as error:
            raise BackupError(
                f"BACKUP_DIR: cannot write to {self.root}: {error.strerror}; choose another folder"
            ) from None
        if user:
            make_reachable(self.wal, owner.st_gid)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against other commands. Raises RepositoryBusyError."""
        with (self.root / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RepositoryBusyError(
                    f"another command is at work on {self.root}; let it finish"
                ) from None
            yield

    def folder(self, label: str) -> Path:
        return self.root / label

    def partial(self, label: str) -> Path:
        return self.root / f".{label}"

    def backups(self) -> list[Backup]:
        """All that are whole, the oldest first; without those in `unreadable`."""
        found = (self._read(path) for path in self._described())
        return [backup for backup in found if isinstance(backup, Backup)]

    def unreadable(self) -> dict[str, str]:
        """Label of each backup whose backup.json cannot be read, and why."""
        found = {path.parent.name: self._read(path) for path in self._described()}
        return {label: error for label, error in found.items() if isinstance(error, str)}

    def _described(self) -> list[Path]:
        return [path for path in sorted(self.root.glob("*/backup.json")) if path.parent.name[0] != "."]

    def _read(self, path: Path) -> Backup | str:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Backup)
        except (OSError, msgspec.DecodeError) as error:
            return f"backup.json cannot be read: {error}"

    def find(self, label: str | None) -> Backup:
        """The backup of this name, or the newest. Raises BackupNotFoundError."""
        found = [backup for backup in self.backups() if label in (None, backup.label)]
        if not found:
            what = f"no backup {label}" if label else "no backup"
            raise BackupNotFoundError(f"there is {what} in {self.root}; see `neurocards backup list`")
        return found[-1]

    def wal_names(self) -> list[str]:
        return sorted(path.name.removesuffix(WAL_SUFFIX) for path in self.wal.glob(f"*{WAL_SUFFIX}"))

    def wal_before(self, backup: Backup) -> list[str]:
        """Archived WAL that this backup and later ones do not need."""
        size = backup.segment_bytes
        return unneeded(self.wal_names(), segment_of(backup.begin_lsn, size), size)

    def wal_path(self, name: str) -> Path:
        return self.wal / f"{name}{WAL_SUFFIX}"

    def expire(self, keep: int) -> tuple[list[str], int]:
        """Expire all but the newest `keep`, and unneeded WAL; returns labels, number of WAL files."""
        backups = self.backups()
        gone = [backup.label for backup in backups[:-keep]]
        left_over = [path.name for path in self.root.glob(".*") if (path / "postgres").is_dir()]
        for name in (*gone, *left_over):
            hidden = self.root / f".{name.removeprefix('.')}"
            if (self.root / name) != hidden:
                (self.root / name).rename(hidden)  # at once: what is half removed is no backup
            shutil.rmtree(hidden)
        names = self.wal_before(backups[-keep:][0])
        for name in names:
            self.wal_path(name).unlink(missing_ok=True)
        return gone, len(names)

    def archive_command(self, *, only_with_backups: bool) -> str:
        """For Postgres's `archive_command`. `only_with_backups`: keep no WAL before the first backup."""
        keep = f"sh {_word(self.root / _SCRIPTS[0])} %p %f {_word(self.wal)}"
        return f"test ! -d {_word(self.root)} || {keep}" if only_with_backups else keep

    def restore_command(self, pg_wal: Path | None = None, *, wal: Path | None = None) -> str:
        """For Postgres's `restore_command`. `pg_wal`: where what was not archived may still lie.

        `wal`: a copy of the archive, with the script in it.
        """
        more = f" {_word(pg_wal)}" if pg_wal else ""
        return f"sh {_word((wal or self.root) / FETCH)} %f %p {_word(wal or self.wal)}{more}"


def open_repository(settings: Settings) -> Repository:
    return Repository(settings.backups)


def new_label() -> str:
    return datetime.now(UTC).strftime(_LABEL_FORM)


def _word(path: Path) -> str:
    """Quote a path for Postgres's shell commands, in which % is special."""
    return quote(str(path)).replace("%", "%%")


# Names of WAL files, as Postgres gives them: TTTTTTTTXXXXXXXXYYYYYYYY, timeline, then segment.


def number_of(name: str, segment_bytes: int) -> int | None:
    """A segment's number over all timelines; None when not a whole segment's name."""
    match = _SEGMENT.fullmatch(name)
    return int(match[2], 16) * (_4_GIB // segment_bytes) + int(match[3], 16) if match else None


def segment_of(lsn: str, segment_bytes: int) -> int:
    """Number of the segment that holds an LSN like `0/3000060`."""
    high, _, low = lsn.partition("/")
    return ((int(high, 16) << 32) + int(low, 16)) // segment_bytes


def missing(names: Iterable[str], first: int, segment_bytes: int) -> list[int]:
    """Segment numbers from `first` that no timeline has: recovery would end before them."""
    there = {number for name in names if (number := number_of(name, segment_bytes)) is not None}
    newest = max(there, default=first - 1)
    return [number for number in range(first, newest + 1) if number not in there]


def unneeded(names: Iterable[str], first: int, segment_bytes: int) -> list[str]:
    """Names before the segment `first`; histories stay, which every restore needs."""
    found = []
    for name in names:
        number = number_of(name[:24], segment_bytes)  # `.partial` and `.backup` files go with their segment
        if number is not None and number < first:
            found.append(name)
    return found
