"""Verification of backups: every stored byte, and the WAL without gaps."""

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Final

import msgspec

from services.backup import stored_files
from services.backup.repository import (
    Backup,
    BackupDamagedError,
    Repository,
    missing,
    number_of,
    segment_of,
)
from services.backup.take import verify_backup

SHOWN: Final = 5
_CHUNK_BYTES = 1 << 20


class Checked(msgspec.Struct, frozen=True):
    """One part of a backup, or the archive; no problems: it is whole."""

    backup: str
    part: str
    problems: list[str]


async def check(repository: Repository, backups: list[Backup]) -> list[Checked]:
    """Read all that these backups need. Damage is a problem, never an exception."""
    found = []
    for backup in backups:
        folder = repository.folder(backup.label)
        database: list[str] = []
        try:
            await verify_backup(folder / "postgres", int(backup.server_version.split(".")[0]))
        except BackupDamagedError as error:
            database = list(error.problems)
        damaged = await asyncio.to_thread(stored_files.damaged, folder)
        found += [Checked(backup.label, "database", database), Checked(backup.label, "files", damaged)]
    for label, problem in repository.unreadable().items():
        found.append(Checked(label, "backup.json", [problem]))
    if backups and (names := repository.wal_names()):
        oldest = backups[0]
        problems = gaps(names, oldest) + await asyncio.to_thread(_unreadable, repository, names, oldest)
        found.append(Checked(f"since {oldest.label}", "wal", problems))
    return found


def gaps(names: list[str], backup: Backup) -> list[str]:
    """Missing WAL between a backup and the archive's newest file, in words."""
    size = backup.segment_bytes
    # What the backup itself needs is inside it, so the archive may begin after its end.
    first = segment_of(backup.end_lsn, size)
    numbers = missing(names, first + 1, size)
    if not numbers:
        return []
    after = f"nothing after WAL segment {numbers[0]:X} can be reached from {backup.label}"
    return [f"{len(numbers)} WAL files are missing, the first is segment {numbers[0]:X}: {after}"]


def _unreadable(repository: Repository, names: list[str], oldest: Backup) -> list[str]:
    size, first = oldest.segment_bytes, segment_of(oldest.begin_lsn, oldest.segment_bytes)
    problems = []
    for name in names:
        number = number_of(name, size)
        if number is None or number < first:
            continue
        length = _length(repository.wal_path(name))
        if length != size:
            said = "cannot be read" if length is None else f"holds {length} bytes"
            problems.append(f"{name} {said}; a WAL file has {size}")
    return problems


def _length(path: Path) -> int | None:
    total = 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                total += len(chunk)
    except (OSError, EOFError, zlib.error):
        return None
    return total
