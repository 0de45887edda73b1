"""`neurocards backup take|list|check|drill|restore`: against a lost disk or a wrong command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.commands import add_group
from services.cli.connections import prepare
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.progress import shares
from services.cli.timespec import METAVAR

if TYPE_CHECKING:
    from services.backup.repository import Repository
    from services.platform.settings import Settings

Label = Annotated[
    str | None,
    typer.Argument(
        metavar="BACKUP", autocompletion=shell_completion.backups, help="A backup's name, as `list` shows it."
    ),
]


def register(app: typer.Typer) -> None:
    commands = {"take": take, "list": list_backups, "check": check, "drill": drill, "restore": restore}
    add_group(app, "backup", "Database, photos, videos and keys: away, and back again.", commands)


def take(
    keep: Annotated[int, typer.Option(min=1, max=1000, help="So many stay, this one included.")] = 7,
    blobs: Annotated[
        bool,
        typer.Option("--blobs/--no-blobs", help="Photos and videos, too; a bucket may have its own copies."),
    ] = True,
    output: Output = OutputFormat.table,
) -> None:
    """Take a backup into BACKUP_DIR while everything runs, and remove the oldest."""
    import asyncio

    from services.backup.take import DATABASE, FILES
    from services.backup.take import take as take_backup
    from services.cli.commands.backup.actions import backup_row

    settings, repository = _repository("backup take")
    with shares("backup", (DATABASE, FILES)) as progress:
        taken = asyncio.run(take_backup(settings, repository, keep=keep, progress=progress, blobs=blobs))
    emit([backup_row(repository, taken.backup, output)], output)
    for label in taken.expired:
        say(f"{label} removed: {keep} stay")
    if taken.wal_removed:
        say(f"{taken.wal_removed} WAL files removed that only older backups needed")
    if not taken.archiving:
        say("WAL is not archived, so only the moment of the backup can be restored: see docs/operations.md")


def list_backups(output: Output = OutputFormat.table) -> None:
    """List backups, the oldest first, with the newest restorable moment of each."""
    from services.cli.commands.backup.actions import backup_row

    _, repository = _repository("backup list")
    backups = repository.backups()
    emit([backup_row(repository, backup, output) for backup in backups], output)
    say(f"{len(backups)} backups in {repository.root}")


def check(label: Label = None, output: Output = OutputFormat.table) -> None:
    """Read every byte of the backups and the WAL; 3 when something is damaged."""
    import asyncio

    from services.backup.check import check as check_backups
    from services.cli.commands.backup.actions import check_row, record
    from services.recovery.backup_runs import BackupRun

    settings, repository = _repository("backup check")
    newest = repository.find(label)

    async def run() -> None:
        began = time.monotonic()
        checked = await check_backups(repository, [newest] if label else repository.backups())
        problems = [f"{one.backup} {one.part}: {problem}" for one in checked for problem in one.problems]
        seconds = round(time.monotonic() - began, 1)
        found = BackupRun(kind="check", backup=newest.label, seconds=seconds, problems=problems)
        if label is None:  # of one alone nothing follows for the others
            await record(settings, found)
        emit([check_row(one) for one in checked], output)
        if problems:
            raise typer.Exit(ExitCode.INTEGRITY)

    asyncio.run(run())


def drill(output: Output = OutputFormat.table) -> None:
    """Restore the newest backup on trial, and verify all of it; 3 when something is wrong.

    In a scratch folder of NEUROCARDS_DATA_DIR, which needs the room. Says how long a restore takes, and what
    would be lost with the machine now.
    """
    import asyncio

    from services.cli.commands.backup.actions import drill_row

    run, row = asyncio.run(drill_row(*_repository("backup drill")))
    emit([row], output)
    if run.problems:
        raise typer.Exit(ExitCode.INTEGRITY)


def restore(
    label: Label = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar=METAVAR,
            help="A moment (ISO 8601, UTC unless it has a zone), or the last position to keep. "
            "Default: all there is.",
        ),
    ] = None,
    blobs: Annotated[
        bool, typer.Option("--blobs", help="Also put back photos and videos that are missing here.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            help="Only prepare this data folder, for a Postgres that others start.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Restore the newest backup before the moment, and the WAL from there.

    On `neurocards up` the database in use stays aside under another name. Run `neurocards recover` then: it
    says what was lost and brings the rest into line.
    """
    import asyncio

    from services.cli.commands.backup.actions import Way, find_way, go_back

    settings, repository = _repository("backup restore")

    def decide(way: Way) -> None:
        emit([way.row()], output)
        confirm(dry_run, yes)

    async def run() -> None:
        way = await find_way(settings, repository, label, to, into)
        decide(way)
        await go_back(settings, repository, way, blobs=blobs, say=say)

    asyncio.run(run())


def _repository(command: str) -> tuple[Settings, Repository]:
    from services.backup.repository import open_repository

    settings: Any = prepare(command)
    return settings, open_repository(settings)
