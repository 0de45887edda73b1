"""Restore drill: the newest backup in a scratch Postgres, verified, and what a loss right now would cost.

    backup ──▶ postgres.drill ──▶ all archived WAL ──▶ verified as the log is ──▶ removed
       └─ files: each byte read; each that the log names is there

Beside everything else and at lowest priority. Nothing of the system in use is touched, nor of the backup.

python -m services.backup.drill    # a DrillTask as a JSON line on stdin, a DrillAnswer on stdout
"""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import asyncpg
from msgspec.structs import replace

from ledger.checkpoints.store import hash_at
from ledger.errors import LedgerError
from ledger.postgres import Connection, connect_in_turn
from projections.engine.subprocess_task import read_task
from projections.engine.subprocess_task import say as answer
from projections.verify.run import Database, Report, verify
from services.backup import stored_files
from services.backup.check import gaps
from services.backup.repository import FETCH, Backup, BackupError, Repository, RepositoryBusyError
from services.backup.restore import TIMELINE, Say, recovered, recovery
from services.local.data_dir import DataFolder
from services.local.system_user import server_user
from services.platform.errors import explain
from services.recovery.backup_runs import BackupRun, DrillAnswer, DrillTask, query

WORK = "postgres.drill"
_ARCHIVE = "wal.drill"
_NICENESS = 10


async def drill(repository: Repository, folder: DataFolder, live_url: str, say: Say) -> BackupRun:
    """What is wrong is among the run's `problems`.

    Raises BackupNotFoundError, RepositoryBusyError, and what asyncpg raises when the live database is away.
    """
    folder.prepare()
    with _alone(folder.root / "drill.lock"):
        live = await connect_in_turn(live_url, timeout=10)
        try:
            return await _drill(repository, repository.find(None), folder, live, say)
        finally:
            await live.close()
            for name in (WORK, _ARCHIVE):
                shutil.rmtree(folder.root / name, ignore_errors=True)


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
    repository: Repository, backup: Backup, folder: DataFolder, live: Connection, say: Say
) -> BackupRun:
    begun = await live.fetchrow(query("drill_begins"))
    assert begun is not None
    began, restored_at, work = time.monotonic(), None, folder.root / WORK
    report: Report | None = None
    problems = gaps(repository.wal_names(), backup)

    async def look(url: str) -> None:
        nonlocal report, restored_at
        restored_at = time.monotonic()
        say("verifying")
        report = await verify(Database(url, {}), gentle=True)
        problems.extend(f"{one.kind}: {one.message}" for one in report.problems)
        if backup.blobs:
            scratch = await asyncpg.connect(url, timeout=30)
            try:
                problems.extend(await _missing(repository, backup, scratch, live))
            finally:
                await scratch.close()

    # Along the timeline in use, as a restore. Its own stays out of the archive, or the next would follow it.
    timeline = int(await live.fetchval(TIMELINE), 16)
    settings = recovery(repository, None, timeline) | {"archive_mode": "off"}
    try:
        if archive := await asyncio.to_thread(_own_archive, repository, folder.root / _ARCHIVE):
            settings["restore_command"] = repository.restore_command(wal=archive)
        await recovered(repository, backup, work, folder, settings, say, look)
    except (BackupError, LedgerError, asyncpg.PostgresError) as error:
        if live.is_closed():
            raise
        problems.append(" ".join(str(error).split()))
    problems += await asyncio.to_thread(stored_files.damaged, repository.folder(backup.label))
    run = BackupRun(kind="drill", backup=backup.label, files=backup.files, size_bytes=backup.database_bytes)
    if report is not None and restored_at is not None:
        at = report.head
        if await hash_at(live, at.position) != at.hash:
            problems.append(f"the log in use has another event at position {at.position}: not its backup")
        lost = max(begun["head"] - at.position, 0)
        lost_us = await live.fetchval(query("recorded_at"), at.position + 1) if lost else begun["now_us"]
        run = replace(
            run, position=at.position, restore_s=round(restored_at - began, 1), lost_events=lost,
            lost_s=max(round((begun["now_us"] - lost_us) / 1e6, 1), 0.0),
        )  # fmt: skip
    return replace(run, seconds=round(time.monotonic() - began, 1), problems=problems)


def _own_archive(repository: Repository, copy: Path) -> Path | None:
    """A copy of the archive, where another container's Postgres has it closed."""
    user = server_user()
    if user is None or not repository.wal.exists() or repository.wal.stat().st_uid == user.pw_uid:
        return None
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(repository.wal, copy)
    shutil.copyfile(Path(__file__).with_name(FETCH), copy / FETCH)
    for path in (copy, *copy.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    return copy


async def _missing(
    repository: Repository, backup: Backup, scratch: Connection, live: Connection
) -> list[str]:
    """Photos and videos of the log that it does not hold."""
    held = {kept.path: kept.sha256 for kept in stored_files.read_list(repository.folder(backup.label))}
    problems = []
    async with scratch.transaction(readonly=True):
        async for row in scratch.cursor(query("files_named"), backup.position):
            digest = held.get(f"{stored_files.BLOBS}/{row['blob']}")
            if digest is None and not await live.fetchval(query("is_swept"), row["blob"]):
                problems.append(f"{row['blob']} of position {row['position']} is not in the backup")
            elif digest is not None and row["sha256"] not in (None, digest):
                problems.append(f"{row['blob']} is not what the log says at position {row['position']}")
    return problems


def main() -> None:
    task: DrillTask = read_task(DrillTask)
    os.nice(_NICENESS)
    repository, folder = Repository(Path(task.backups)), DataFolder(Path(task.data_dir))
    try:
        answer(DrillAnswer(asyncio.run(drill(repository, folder, task.database_url, lambda _: None))))
    except Exception as error:
        answer(DrillAnswer(error=explain(error) or repr(error)))


if __name__ == "__main__":
    main()
