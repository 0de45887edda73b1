"""Rows, records and restores of `neurocards backup`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from ledger.postgres import connect_in_turn
from services.backup import stored_files
from services.backup.check import SHOWN, Checked, gaps
from services.backup.drill import drill
from services.backup.repository import Backup, BackupError, BackupNotFoundError, Repository
from services.backup.restore import (
    choose,
    prepare_elsewhere,
    recovery,
    restart_postgres,
    restore_beside,
    running_postgres,
    timeline_of,
)
from services.cli.output import OutputFormat, say
from services.cli.timespec import point
from services.local.data_dir import DataFolder
from services.local.databases import archiving
from services.platform.blob_stores import open_blobs
from services.platform.errors import SettingsError
from services.platform.settings import Settings
from services.recovery.backup_runs import BackupRun, record_run

_MB: Final = 1_000_000
_AFTER = """
SELECT recorded_at_us FROM events
WHERE position > $1 AND recorded_at_us > (SELECT recorded_at_us FROM events WHERE position = $1)
ORDER BY position LIMIT 1
"""


class Way(msgspec.Struct, frozen=True):
    """Backup, moment (None: the end) and target of a restore. `running`: under a running system."""

    backup: Backup
    to: datetime | None
    into: Path | None
    running: bool

    def row(self) -> dict[str, Any]:
        moment = "the end of the WAL" if self.to is None else f"{self.to:%Y-%m-%d %H:%M:%S.%f}Z"
        target = (
            str(self.into)
            if self.into
            else "postgres, at its restart"
            if self.running
            else "postgres, at the next `neurocards up`"
        )
        return {
            "backup": self.backup.label,
            "whole_at": self.backup.ended_at,
            "to": moment,
            "replaces": target,
        }


def backup_row(repository: Repository, backup: Backup, form: OutputFormat) -> dict[str, Any]:
    reach = reaches(repository, backup)
    if form is not OutputFormat.table:
        return {**msgspec.to_builtins(backup), "reaches": reach}
    return {
        "backup": backup.label,
        "seconds": backup.seconds,
        "position": backup.position,
        "database_MB": round(backup.database_bytes / _MB, 1),
        "files": backup.files,
        "files_MB": round(backup.files_bytes / _MB, 1),
        "whole_at": backup.ended_at[:19].replace("T", " "),
        "reaches": (reach or "")[:19].replace("T", " "),
    }


def reaches(repository: Repository, backup: Backup) -> str | None:
    """Newest moment of the archived WAL; None: only `ended_at` can be reached."""
    names = repository.wal_names()
    if not names or gaps(names, backup):
        return None
    newest = max(repository.wal_path(name).stat().st_mtime for name in names)
    found = datetime.fromtimestamp(newest, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    return max(found, backup.ended_at)


async def drill_row(settings: Settings, repository: Repository) -> tuple[BackupRun, dict[str, Any]]:
    """Hold a drill and record it. Raises BackupError, and what asyncpg raises."""
    url = settings.require_database_url()
    run = await drill(repository, DataFolder(settings.data_dir), url, say)
    await record(settings, run)
    lost = f"{run.lost_events} events, the oldest {run.lost_s:g} s old" if run.lost_events else "nothing"
    return run, {
        "backup": run.backup,
        "restored_in_s": run.restore_s,
        "up_to": run.position,
        "would_be_lost": "unknown" if run.lost_events is None else lost,
        "files": run.files,
        "result": _in_words(run.problems),
    }


async def record(settings: Settings, run: BackupRun) -> None:
    """Leave it in the database; a backup may be looked at because that one is gone."""
    try:
        connection = await connect_in_turn(settings.require_database_url(), timeout=10)
    except (OSError, asyncpg.PostgresError, SettingsError) as error:
        say(f"not recorded, the database is away: {error}")
        return
    try:
        await record_run(connection, run)
    finally:
        await connection.close()


def check_row(checked: Checked) -> dict[str, str]:
    return {"backup": checked.backup, "part": checked.part, "result": _in_words(checked.problems)}


def _in_words(problems: list[str]) -> str:
    shown, more = problems[:SHOWN], len(problems) - SHOWN
    return "; ".join([*shown, *([f"and {more} more"] if more > 0 else [])]) or "ok"


async def find_way(
    settings: Settings, repository: Repository, label: str | None, to: str | None, into: Path | None
) -> Way:
    """Choose backup and moment. Raises BackupNotFoundError, BackupError, typer.BadParameter."""
    moment = await _moment(settings, to)
    backup = choose(repository.backups(), label, moment)
    running = into is None and running_postgres(DataFolder(settings.data_dir)) is not None
    if running and moment is None:
        raise BackupError(
            "the system runs: say with --to to which moment, or stop it to restore all there is"
        )
    if into is None and settings.database_url is not None and not running:
        raise BackupError(
            "DATABASE_URL is of a Postgres that is not ours: say with --into where its data folder is to be"
        )
    return Way(backup, moment, into, running)


async def _moment(settings: Settings, to: str | None) -> datetime | None:
    """The moment of --to: a time, or one between the position's commit and the next one's."""
    found = point(to, "--to")
    if found.position is None:
        return None if found.time_us is None else _time(found.time_us)
    try:
        connection = await asyncpg.connect(settings.require_database_url(), timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        raise BackupError(f"a position is looked up in the running database: {error}; give a time") from error
    try:
        after = await connection.fetchval(_AFTER, found.position)
    finally:
        await connection.close()
    if after is None:
        raise BackupNotFoundError(f"there is nothing after position {to} to go back from")
    return _time(after)


async def go_back(
    settings: Settings, repository: Repository, way: Way, *, blobs: bool, say: Callable[[str], None]
) -> None:
    """Restore. Raises BackupError; then nothing has changed but files that were missing."""
    folder = DataFolder(settings.data_dir)
    with repository.lock():
        if way.into is not None:
            leading = recovery(repository, way.to, timeline_of(way.into))
            prepare_elsewhere(repository, way.backup, way.into, leading)
            say(f"{way.into} is ready; Postgres recovers when it starts there")
        else:
            folder.prepare()
            # Nobody may start on the old one meanwhile: what they write would be gone at their next start.
            with contextlib.nullcontext() if way.running else folder.lock():
                found = await restore_beside(repository, way.backup, folder, way.to, archiving(settings), say)
            at = _time(found.recorded_at_us)
            say(f"restored up to position {found.position}, {at}, timeline {found.timeline}")
    lost = not (settings.data_dir.expanduser() / stored_files.BLOBS).exists()
    source = repository.folder(way.backup.label)
    count = stored_files.put_back(source, settings, blobs=blobs or lost)
    if blobs and stored_files.in_bucket(settings):
        count += await stored_files.put_back_blobs(source, open_blobs(settings))
    if count:
        say(f"{count} files put back that were missing")
    if way.running:
        await restart_postgres(folder)
        say("Postgres runs on it; what was there before is kept beside it")
    say("next: neurocards recover --reason WHY")


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
