"""Taking a backup: database first, so that all files it names are there.

    .LABEL/postgres ──▶ .LABEL/files ──▶ backup.json ──▶ renamed to LABEL ──▶ older ones expire

Everything else runs meanwhile. A crash leaves a folder with a dot; the next backup removes it.
"""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
import msgspec

from services.backup import stored_files
from services.backup.repository import Backup, BackupDamagedError, BackupError, Repository, new_label
from services.local.binaries import find_client
from services.platform.blob_stores import open_blobs
from services.platform.settings import Settings
from services.recovery.backup_runs import BackupRun, record_run

Progress = Callable[[str, int, int], None]
"""Called with the part, the bytes done, and the bytes there are, as far as is known."""

DATABASE: Final = "database"
FILES: Final = "files"

_LOOK_EVERY_S = 0.5
_WORDS_SHOWN: Final = 2000
_NO_ROOM: Final = os.strerror(errno.ENOSPC)
_SERVER = """
SELECT current_setting('server_version_num')::int / 10000 AS major,
       current_setting('server_version') AS version,
       current_setting('archive_mode') AS archive_mode,
       pg_size_bytes(current_setting('wal_segment_size')) AS segment_bytes,
       clock_timestamp() AT TIME ZONE 'UTC' AS now
"""
_HEAD = "SELECT position FROM events ORDER BY position DESC LIMIT 1"
_STREAMED = "SELECT backup_streamed, backup_total FROM pg_stat_progress_basebackup"


class Wal(
    msgspec.Struct, frozen=True, rename={"begin": "Start-LSN", "end": "End-LSN", "timeline": "Timeline"}
):
    begin: str
    end: str
    timeline: int


class _Manifest(msgspec.Struct, rename={"wal": "WAL-Ranges"}):
    wal: list[Wal]


class Taken(msgspec.Struct, frozen=True):
    """The new backup, and what went. `archiving`: whether WAL is kept, so that moments between can be had."""

    backup: Backup
    archiving: bool
    expired: list[str]
    wal_removed: int


async def take(
    settings: Settings,
    repository: Repository,
    *,
    keep: int,
    progress: Progress,
    sync: bool = True,
    blobs: bool = True,
) -> Taken:
    """Back up the running system, with photos and videos if `blobs`.

    Raises BackupError, StartError, BlobStoreAwayError, and what asyncpg raises.
    """
    url = settings.require_owner_url()
    repository.prepare()
    connection = await asyncpg.connect(url, timeout=10)
    try:
        with repository.lock():
            return await _take(connection, url, settings, repository, keep, progress, sync, blobs)
    finally:
        await connection.close()


async def _take(
    connection: "asyncpg.Connection[asyncpg.Record]",
    url: str,
    settings: Settings,
    repository: Repository,
    keep: int,
    progress: Progress,
    sync: bool,
    blobs: bool,
) -> Taken:
    began, server = time.monotonic(), await connection.fetchrow(_SERVER)
    assert server is not None
    position = await connection.fetchval(_HEAD) or 0
    label, earlier = new_label(), repository.backups()
    if label in {backup.label for backup in earlier}:
        raise BackupError(f"backup {label} was taken in this very second; try again")
    partial = repository.partial(label)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    try:
        watch = asyncio.create_task(_watch(connection, progress))
        try:
            await base_backup(url, partial / "postgres", label, server["major"], sync=sync)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        ended = await connection.fetchrow(_SERVER)
        before = repository.folder(earlier[-1].label) if earlier else None
        kept = await _files(settings, partial, before, progress, blobs)
        wal = manifest_wal(partial / "postgres")
        backup = Backup(
            label, _iso(server["now"]), _iso(ended and ended["now"]), round(time.monotonic() - began, 1),
            server["version"], wal.timeline, wal.begin, wal.end, server["segment_bytes"], position,
            _tree_bytes(partial / "postgres"), len(kept), sum(file.size_bytes for file in kept), blobs,
        )  # fmt: skip
        _write(partial / "backup.json", msgspec.json.format(msgspec.json.encode(backup)))
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if _NO_ROOM in str(error) and (isinstance(error, OSError) or str(partial) in str(error)):
            raise BackupError(f"no room for a backup in {repository.root}: remove the oldest one") from error
        raise
    partial.rename(repository.folder(label))
    stored_files.sync(repository.root)
    run = BackupRun(
        kind="backup", backup=label, position=position, size_bytes=backup.database_bytes, files=backup.files,
        seconds=backup.seconds,
    )  # fmt: skip
    await record_run(connection, run)
    expired, wal_removed = repository.expire(keep)
    return Taken(backup, server["archive_mode"] != "off", expired, wal_removed)


async def _watch(connection: "asyncpg.Connection[asyncpg.Record]", progress: Progress) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        row = await connection.fetchrow(_STREAMED)
        if row and row["backup_total"]:
            progress(DATABASE, row["backup_streamed"], row["backup_total"])


async def _files(
    settings: Settings, target: Path, before: Path | None, progress: Progress, blobs: bool
) -> list[stored_files.Kept]:
    fetched, wanted = [], stored_files.sources(settings)
    if not blobs:
        wanted.pop(stored_files.BLOBS, None)
    elif stored_files.in_bucket(settings):
        fetched = await stored_files.copy_blobs(
            open_blobs(settings), target, before, lambda done, total: progress(FILES, done, total)
        )
    total = stored_files.size_bytes(wanted)
    return await asyncio.to_thread(
        stored_files.copy_in, wanted, target, before, lambda done: progress(FILES, done, total), fetched
    )


def manifest_wal(database: Path) -> Wal:
    """From a backup's manifest. Raises BackupError when there is none."""
    try:
        manifest = msgspec.json.decode((database / "backup_manifest").read_bytes(), type=_Manifest)
        return manifest.wal[0]
    except (OSError, msgspec.DecodeError, IndexError) as error:
        raise BackupError(f"{database}/backup_manifest cannot be read: {error}") from error


def _iso(now: Any) -> str:
    return str(now.isoformat(timespec="microseconds")) + "Z"


def _tree_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data + b"\n")
        file.flush()
        os.fsync(file.fileno())


async def base_backup(url: str, target: Path, label: str, major: int, *, sync: bool = True) -> None:
    """Copy the running server's data folder and its WAL with pg_basebackup. Raises BackupError."""
    shown, password = without_password(url)
    command = [
        str(find_client("pg_basebackup", major)), f"--dbname={shown}", f"--pgdata={target}", "--format=plain",
        "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password",
        f"--label=neurocards {label}", *([] if sync else ["--no-sync"]),
    ]  # fmt: skip
    code, words = await _run(command, {"PGPASSWORD": password} if password else {})
    if code:
        raise BackupError(
            f"pg_basebackup ended with code {code}: {words}\n"
            "DATABASE_OWNER_URL must be of a role with REPLICATION, and pg_hba.conf must let it"
        )


async def verify_backup(folder: Path, major: int) -> None:
    """Run pg_verifybackup on files and WAL. Raises BackupDamagedError."""
    command = [str(find_client("pg_verifybackup", major)), "--quiet", str(folder)]
    code, words = await _run(command, {})
    if code:
        raise BackupDamagedError([line for line in words.splitlines() if line] or [f"exit code {code}"])


def without_password(url: str) -> tuple[str, str | None]:
    """A URL fit for command lines, which all can read; its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}")), unquote(parts.password)


async def _run(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | env | {"LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, out.decode(errors="replace").strip()[-_WORDS_SHOWN:]
