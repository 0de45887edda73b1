"""Point-in-time restore: a backup and archived WAL, in a folder beside the live one.

    backup ──▶ postgres.restoring ──▶ WAL up to the moment ──▶ stopped ──▶ postgres.restored
                                                                               │ next start of Postgres
    postgres ──────────────────────────────────────────────▶ postgres.before-… ▼ postgres

The database in use runs until then, and nothing of it is removed. Along which timeline: the one in use, if
that can be known, so that a restore that was itself undone is not followed.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from services.backup.repository import Backup, BackupError, BackupNotFoundError, Repository, new_label
from services.local import processes
from services.local.binaries import find_client, find_postgres
from services.local.data_dir import DataFolder
from services.local.postgres import OWNER, RESTORED, EmbeddedPostgres
from services.local.system_user import make_private, server_user
from services.platform.errors import StartError

Say = Callable[[str], None]

SWAP_TIMEOUT_S: Final = 120.0
_RESTORING: Final = "restoring"
_LONGEST_RECOVERY_S: Final = 86_400.0
_TELL_EVERY_S: Final = 10.0
SPARE_BYTES: Final = 300_000_000
"""For WAL that is fetched: as in Postgres's own folder, some files at once."""
_FETCHED: Final = re.compile(r'restored log file "(\w{24})"')
_TOO_EARLY: Final = "recovery ended before configured recovery target was reached"
_HEAD = "SELECT position, recorded_at_us FROM events ORDER BY position DESC LIMIT 1"

_TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"


class Restored(msgspec.Struct, frozen=True):
    folder: Path
    position: int
    recorded_at_us: int
    timeline: int


def choose(backups: Sequence[Backup], label: str | None, to: datetime | None) -> Backup:
    """The named backup, or the newest whole by `to`. Raises BackupNotFoundError."""
    named = [backup for backup in backups if label in (None, backup.label)]
    fit = [backup for backup in named if to is None or datetime.fromisoformat(backup.ended_at) <= to]
    if fit:
        return fit[-1]
    if not named:
        raise BackupNotFoundError(f"there is no backup {label or 'yet'}; see `neurocards backup list`")
    raise BackupNotFoundError(
        f"{'it' if label else 'the oldest backup'} was whole at {named[0].ended_at}, later than {to}"
    )


def recovery(
    repository: Repository, to: datetime | None, timeline: int | None, pg_wal: Path | None = None
) -> dict[str, str]:
    """Postgres settings for recovery to a moment; None: to the end of the WAL."""
    return {
        # Said also when there is none: an earlier restore may have left one in the configuration.
        "recovery_target_time": "" if to is None else to.astimezone(UTC).isoformat(sep=" "),
        "restore_command": repository.restore_command(pg_wal),
        "recovery_target_timeline": str(timeline or "latest"),
        "recovery_target_action": "promote",
    }


def prepare(
    repository: Repository, backup: Backup, target: Path, uid: int, gid: int, spare_bytes: int = SPARE_BYTES
) -> None:
    """Copy the backup to `target`, to recover when Postgres starts. Raises BackupError."""
    missing_bytes = backup.database_bytes + spare_bytes - shutil.disk_usage(target.parent).free
    if missing_bytes > 0:
        missing = f"{missing_bytes // 1_000_000 + 1} MB"
        raise BackupError(f"{backup.label} needs {missing} more room on the disk of {target.parent}")
    try:
        shutil.copytree(repository.folder(backup.label) / "postgres", target, symlinks=True)
        (target / "recovery.signal").touch()
        target.chmod(0o700)
        if os.geteuid() == 0:
            for path in (target, *target.rglob("*")):
                os.chown(path, uid, gid, follow_symlinks=False)
    except OSError as error:
        raise BackupError(f"{backup.label} cannot be copied to {target}: {error}") from error


def prepare_elsewhere(
    repository: Repository, backup: Backup, target: Path, settings: Mapping[str, str]
) -> None:
    """Prepare for a Postgres that others start, with settings in its configuration.

    The folder's owner is that of the former one, or its parent's. What was there is kept under another name.
    Raises BackupError when Postgres may still run on it.
    """
    if (target / "postmaster.pid").exists():
        raise BackupError(
            f"Postgres runs on {target}, or was killed there: stop it, or remove postmaster.pid"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        owner = (target if target.exists() else target.parent).stat()
        if target.exists():
            target.rename(target.with_name(f"{target.name}.before-{new_label()}"))
    except OSError as error:
        raise BackupError(f"{target} cannot be moved aside: {error.strerror}") from None
    prepare(repository, backup, target, owner.st_uid, owner.st_gid)
    with (target / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write(f"# restored from {backup.label}\n")
        file.writelines(f"{name} = '{_quoted(value)}'\n" for name, value in settings.items())


async def restore_beside(
    repository: Repository, backup: Backup, folder: DataFolder, to: datetime | None,
    archiving: Mapping[str, str], say: Say,
) -> Restored:  # fmt: skip
    """Make `postgres.restored`, which the next start of Postgres takes. Raises BackupError."""
    timeline = timeline_of(folder.postgres)
    ready = folder.postgres.with_name(f"{folder.postgres.name}.{RESTORED}")
    if ready.exists():
        raise BackupError(f"{ready} waits for the next start already; remove it to restore something else")
    settings = recovery(repository, to, timeline, folder.postgres / "pg_wal")
    work = folder.postgres.with_name(f"{folder.postgres.name}.{_RESTORING}")
    # Archived once it is in use: were this given up, what it had archived would lead the next restore astray.
    options = settings | dict(archiving) | {"archive_command": ""}
    found = await recovered(repository, backup, work, folder, options, say)
    work.rename(ready)
    return msgspec.structs.replace(found, folder=ready)


async def recovered(
    repository: Repository, backup: Backup, work: Path, folder: DataFolder, settings: Mapping[str, str],
    say: Say, look: Callable[[str], Awaitable[None]] | None = None, *, spare_bytes: int = SPARE_BYTES,
    database: str = "neurocards", owner: str = OWNER,
) -> Restored:  # fmt: skip
    """Recover a copy in a separate Postgres, `look` at it, stop it. Raises BackupError.

    Sockets and log are named after the folder's suffix, so that a drill and a restore can go on side by side.
    """
    name = work.suffix[1:]
    user = server_user()
    uid, gid = (user.pw_uid, user.pw_gid) if user else (-1, -1)
    shutil.rmtree(work, ignore_errors=True)
    say(f"copying {backup.label}")
    await asyncio.to_thread(prepare, repository, backup, work, uid, gid, spare_bytes)
    sockets = folder.socket_folder() / name[0]
    sockets.mkdir(exist_ok=True)
    make_private(sockets)
    log = folder.log_path(name)
    # Nobody is let in before it is through, and so it does not matter what the server was sized for.
    options = {"hot_standby": "off", **settings}
    server = EmbeddedPostgres(work, sockets, log, options=options, start_timeout_s=_LONGEST_RECOVERY_S)
    say("replaying WAL")
    began_at = log.stat().st_size if log.exists() else 0
    teller = asyncio.create_task(_tell(log, began_at, say))
    try:
        await asyncio.to_thread(server.start)
        found = await _head(server.url(database, owner), work)
        if look is not None:
            await look(server.url(database, owner))
    except StartError as error:
        if log.exists() and _TOO_EARLY in log.read_text(errors="replace")[began_at:]:
            raise BackupError(
                "the WAL there is ends before that moment: give an earlier one, or leave --to out for its end"
            ) from error
        raise BackupError(f"recovery failed: {error}") from error
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
        await asyncio.to_thread(server.stop)
    return found


def timeline_of(data: Path) -> int | None:
    if not (data / "PG_VERSION").exists():
        return None
    try:
        program = find_client("pg_controldata", find_postgres().major)
    except StartError:
        return None
    done = subprocess.run([program, data], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    match = re.search(r"^Latest checkpoint's TimeLineID:\s+(\d+)$", done.stdout, re.MULTILINE)
    return int(match[1]) if match else None


async def _head(url: str, work: Path) -> Restored:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        row = await connection.fetchrow(_HEAD)
        timeline = int(await connection.fetchval(_TIMELINE), 16)
    finally:
        await connection.close()
    position, recorded_at_us = (row["position"], row["recorded_at_us"]) if row else (0, 0)
    return Restored(work, position, recorded_at_us, timeline)


async def _tell(log: Path, began_at: int, say: Say) -> None:
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        fetched = _FETCHED.findall(log.read_text(errors="replace")[began_at:])
        if fetched:
            say(f"{len(fetched)} WAL files replayed, the last is {fetched[-1]}")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def running_postgres(folder: DataFolder) -> int | None:
    pid = folder.running_addresses().get("pids", {}).get("postgres")
    return pid if isinstance(pid, int) and processes.alive(pid) else None


async def restart_postgres(folder: DataFolder, *, timeout_s: float = SWAP_TIMEOUT_S) -> None:
    """Stop it cleanly for the supervisor to restart. Raises BackupError when it does not."""
    facts = folder.running_addresses()
    pid = running_postgres(folder)
    if pid is None:
        raise BackupError(f"no Postgres of a `neurocards up` runs on {folder.root}")
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + timeout_s
    while not await _is_back(folder, facts, pid):
        if time.monotonic() > deadline:
            raise BackupError(f"Postgres did not come back within {timeout_s:g} s; see {folder.logs}")
        await asyncio.sleep(0.1)


async def _is_back(folder: DataFolder, facts: dict[str, Any], old_pid: int) -> bool:
    waiting = folder.postgres.with_name(f"{folder.postgres.name}.{RESTORED}").exists()
    pid = processes.read_pid(folder.postgres / "postmaster.pid")
    if waiting or pid is None or pid == old_pid:
        return False
    try:
        connection = await asyncpg.connect(str(facts["database_url"]), timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
