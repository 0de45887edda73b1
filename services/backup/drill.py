"""Restore drill: the newest backup in a scratch Postgres, verified, and what a loss right now would cost.

    backup ──▶ postgres.drill ──▶ all archived WAL ──▶ verified as the log is ──▶ removed
       └─ files: each byte read; each that the log names is there

Beside everything else and at lowest priority. Nothing of the system in use is touched, nor of the backup.

python -m services.backup.drill    # a DrillTask as a JSON line on stdin, a DrillAnswer on stdout
"""

import asyncio
import fcntl
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TextIO

import asyncpg
from msgspec.structs import replace

from events.envelope import Cursor
from ledger.checkpoints.store import hash_at
from ledger.errors import LedgerError
from ledger.postgres import Connection, connect_in_turn
from projections.engine.subprocess_task import read_task
from projections.engine.subprocess_task import say as answer
from projections.verify.run import Database, Report, verify
from services.accounts.logged_files import query as files_query
from services.backup import stored_files
from services.backup.check import gaps
from services.backup.repository import (
    FETCH,
    Backup,
    BackupError,
    Repository,
    RepositoryBusyError,
    number_of,
    segment_of,
)
from services.backup.restore import SPARE_BYTES, Say, recovered, recovery
from services.backup.take import verify_backup
from services.local.data_dir import DataFolder
from services.local.system_user import server_user
from services.platform.disks import LITTLE_BYTES
from services.platform.errors import explain
from services.recovery.backup_runs import PROBLEMS_MAX, BackupRun, DrillAnswer, DrillTask, query

WORK = "postgres.drill"
_ARCHIVE = "wal.drill"
_NICENESS = 19
_REDONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
LOST_S_MAX = 900.0
"""WAL is archived every minute; what is so old should have come into the archive."""
_ALONE = {
    "archive_mode": "off", "archive_cleanup_command": "", "recovery_end_command": "", "port": "5432",
    "shared_preload_libraries": "", "max_logical_replication_workers": "0", "logging_collector": "off",
    "ssl": "off", "external_pid_file": "", "max_wal_size": "256MB", "temp_file_limit": "1GB",
}  # fmt: skip
"""Whatever the restored folder's configuration says: it was written for the server in use."""


async def drill(repository: Repository, folder: DataFolder, live_url: str, say: Say) -> BackupRun:
    """What is wrong is among the run's `problems`.

    Raises BackupNotFoundError, RepositoryBusyError, and what asyncpg raises when the live database is away.
    """
    folder.prepare()
    with _alone(folder.root / "drill.lock"):
        try:
            return await _drill(repository, repository.find(None), folder, live_url, say)
        finally:
            for name in (WORK, _ARCHIVE):
                shutil.rmtree(folder.root / name, ignore_errors=True)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    """For moments: a restore takes longer than a network lets a connection be silent."""
    connection = await connect_in_turn(url, timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def _alone(path: Path) -> Iterator[TextIO]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RepositoryBusyError("another drill is under way; let it finish") from None
        os.utime(path)  # when it began: maintenance tries a drill again that died, but not at once
        yield file


async def _drill(
    repository: Repository, backup: Backup, folder: DataFolder, live_url: str, say: Say
) -> BackupRun:
    async with _connected(live_url) as live:
        begun = await live.fetchrow(query("drill_begins"))
    assert begun is not None
    began, restored_at = time.monotonic(), None
    report: Report | None = None
    unheld: list[tuple[str, int]] = []
    problems = [*gaps(repository.wal_names(), backup), *_not_archived(repository, begun["archived"])]

    async def look(url: str) -> None:
        nonlocal report, restored_at, unheld
        restored_at = time.monotonic()
        say("verifying")
        report = await verify(Database(url, {}), gentle=True)
        problems.extend(f"{one.kind}: {one.message}" for one in report.problems)
        problems.extend(_ended_early(folder.log_path("drill"), begun["archived"], backup))
        async with _connected(url) as scratch:
            unheld = await _unheld(repository, backup, scratch)

    # Along the timeline in use, as a restore. Its own stays out of the archive, or the next would follow it.
    settings = recovery(repository, None, int(begun["timeline"], 16)) | _ALONE
    folders = folder.root / WORK, folder.root / _ARCHIVE
    try:
        if archive := await asyncio.to_thread(_own_archive, repository, backup, folders[1]):
            settings["restore_command"] = repository.restore_command(wal=archive)
        await recovered(
            repository, backup, folders[0], folder, settings, say, look,
            spare_bytes=SPARE_BYTES + LITTLE_BYTES, database=begun["database"], owner=begun["owner"],
        )  # fmt: skip
        kept = repository.folder(backup.label)
        await verify_backup(kept / "postgres", int(backup.server_version.split(".")[0]))
        problems += await asyncio.to_thread(stored_files.damaged, kept)
    except (BackupError, LedgerError, asyncpg.PostgresError, OSError) as error:
        problems.append(" ".join(str(error).split()))
    run = BackupRun(kind="drill", backup=backup.label, files=backup.files, size_bytes=backup.database_bytes)
    if report is not None and restored_at is not None:
        async with _connected(live_url) as live:
            run = await _measured(run, report.head, begun, live, problems)
            problems += [
                f"{blob} of position {position} is not in the backup as the log has it"
                for blob, position in unheld
                if not await live.fetchval(files_query("is_swept"), blob)
            ]
        run = replace(run, restore_s=round(restored_at - began, 1))
        if run.position < backup.position:
            problems.append(f"it ends at position {run.position}, and was taken at {backup.position}")
    return replace(run, seconds=round(time.monotonic() - began, 1), problems=problems)


async def _measured(
    run: BackupRun, at: Cursor, begun: asyncpg.Record, live: Connection, problems: list[str]
) -> BackupRun:
    """What of the log in use was not brought back."""
    if await hash_at(live, at.position) != at.hash:
        problems.append(f"the log in use has another event at position {at.position}: not its backup")
    lost = max(begun["head"] - at.position, 0)
    lost_us = await live.fetchval(query("recorded_at"), at.position + 1) if lost else begun["now_us"]
    lost_s = max(round((begun["now_us"] - lost_us) / 1e6, 1), 0.0)
    if begun["archived"] and lost_s > LOST_S_MAX:
        problems.append(f"{lost} events would be lost, the oldest {lost_s:g} s old, though WAL is archived")
    return replace(run, position=at.position, lost_events=lost, lost_s=lost_s)


def _not_archived(repository: Repository, archived: str | None) -> list[str]:
    """A problem where the archive lacks what Postgres archived last."""
    if archived is None or repository.wal_path(archived).exists():
        return []
    return [f"{archived}, which Postgres archived last, is not in {repository.wal}"]


def _ended_early(log: Path, archived: str | None, backup: Backup) -> list[str]:
    """A problem where recovery ended before the last archived file."""
    size, done = backup.segment_bytes, _REDONE.findall(log.read_text(errors="replace"))
    wanted = number_of(archived or "", size)
    if wanted is None or not done or segment_of(done[-1], size) >= wanted:
        return []
    return [
        f"recovery ended in WAL segment {segment_of(done[-1], size):X}, and the archive goes to {wanted:X}"
    ]


def _own_archive(repository: Repository, backup: Backup, copy: Path) -> Path | None:
    """A copy of the archive, where another container's Postgres has it closed."""
    user = server_user()
    if user is None or not repository.wal.exists() or repository.wal.stat().st_uid == user.pw_uid:
        return None
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(mode=0o700)
    old = set(repository.wal_before(backup))
    needed = [repository.wal_path(name) for name in repository.wal_names() if name not in old]
    size_bytes = sum(path.lstat().st_size for path in needed)
    if shutil.disk_usage(copy).free < size_bytes + LITTLE_BYTES:
        raise BackupError(
            f"{size_bytes // 1_000_000 + 1} MB of WAL find no room on the disk of {copy.parent}"
        )
    for path in (*needed, Path(__file__).with_name(FETCH)):
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, copy / path.name)
    for path in (copy, *copy.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    return copy


async def _unheld(repository: Repository, backup: Backup, scratch: Connection) -> list[tuple[str, int]]:
    """Photos and videos of the log that are not in the backup."""
    if not backup.blobs:
        return []
    held = {kept.path: kept.sha256 for kept in stored_files.read_list(repository.folder(backup.label))}
    found: list[tuple[str, int]] = []
    async with scratch.transaction(readonly=True):
        async for row in scratch.cursor(query("files_named"), backup.position):
            digest = held.get(f"{stored_files.BLOBS}/{row['blob']}")
            if digest is None or row["sha256"] not in (None, digest):
                found.append((row["blob"], row["position"]))
            if len(found) >= PROBLEMS_MAX:
                break
    return found


def main() -> None:
    task: DrillTask = read_task(DrillTask)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(_NICENESS)
    repository, folder = Repository(Path(task.backups)), DataFolder(Path(task.data_dir))
    try:
        answer(DrillAnswer(asyncio.run(drill(repository, folder, task.database_url, lambda _: None))))
    except Exception as error:
        answer(DrillAnswer(error=explain(error) or repr(error)))


def _end_with_parent() -> None:
    """End, and the scratch server with it, when the parent is gone."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
