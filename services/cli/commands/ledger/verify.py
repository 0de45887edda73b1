"""`neurocards ledger verify`: does the log hold, and everything made of it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connections import auditor_pool, prepare, reading_settings
from services.cli.options import SomeKeys, end_damaged, files_checked, public_keys, read_note
from services.cli.output import Output, OutputFormat, say
from services.cli.progress import walks

if TYPE_CHECKING:
    import asyncpg

    from events.envelope import Cursor
    from ledger.checkpoints.signed_note import PublicKey
    from projections.verify.run import Database, Report, Stage
    from services.platform.settings import Settings


def verify(
    begin: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE|POSITION", show_default=False,
            help="Only what came after a checkpoint (a signed note; needs --public-key) or a position: what "
            "was before is trusted. Default: everything.",
        ),
    ] = None,
    public_key: SomeKeys = None,
    log_only: Annotated[
        bool, typer.Option("--log-only", help="Leave the read models alone: the log itself, faster.")
    ] = False,
    blobs: Annotated[
        bool, typer.Option("--blobs", help="Read every photo and video too; run it where the files are.")
    ] = False,
    output: Output = OutputFormat.table,
) -> None:  # fmt: skip
    """Check positions, hash chain, rules, books, read models, cursors and checkpoints.

    Silent and 0 when everything holds; else the kind and place of each damage, and 3. Stored checkpoints must
    be signed by --public-key, or else by the configured private key, if there is one.
    """
    import asyncio

    from services.recovery.checkpoint_files import signing_keys

    settings = prepare("verify")
    keys = public_keys(public_key) if public_key else [key.public for key in signing_keys(settings)]
    with files_checked(output):  # the one to begin from
        report = asyncio.run(_verify(settings, begin, keys, log_only, blobs))
    if report.problems:
        if report.found > len(report.problems):
            say(f"{report.found} problems were found, the first {len(report.problems)} are shown")
        end_damaged(report.problems, output)


async def _verify(
    settings: Settings, begin: str | None, keys: list[PublicKey], log_only: bool, blobs: bool
) -> Report:
    from msgspec.structs import replace

    from projections.verify.run import STAGES
    from projections.verify.run import verify as run
    from services.accounts.logged_files import check_files
    from services.platform.blob_stores import open_blobs

    store = open_blobs(settings)
    if blobs and not store.exists:
        raise typer.BadParameter("there are no files here: set NEUROCARDS_DATA_DIR", param_hint="--blobs")
    async with auditor_pool(settings, max_size=1) as pool:
        after = await _beginning(pool, begin, keys)
        head = await pool.fetchval("SELECT max(position) FROM events") or 0
        database = await _database(pool, settings)
        stages: tuple[Stage, ...] = ("chain", "rules") if log_only else STAGES
        with walks("verify", stages, after.position, head) as progress:
            report = await run(database, after=after, keys=keys, stages=stages, progress=progress)
        files = await check_files(pool, store, read=True) if blobs else []
        return replace(report, problems=[*report.problems, *files], found=report.found + len(files))


async def _database(pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> Database:
    """The same database and role, for walks with their own connections."""
    from projections.verify.run import Database

    role = await pool.fetchval("SELECT current_setting('role')")
    url = settings.audit_database_url or settings.require_database_url()
    return Database(url, reading_settings(None if role == "none" else role))


async def _beginning(pool: asyncpg.Pool[asyncpg.Record], begin: str | None, keys: list[PublicKey]) -> Cursor:
    from pathlib import Path

    from events.envelope import GENESIS, Cursor
    from ledger.checkpoints.checkpoint import open_checkpoint
    from ledger.checkpoints.store import hash_at
    from projections.checkpoints import signed_place

    if begin is None:
        return GENESIS
    if not (begin.isascii() and begin.isdigit() and len(begin) < 19):
        if not keys:
            raise typer.BadParameter("a checkpoint needs --public-key", param_hint="--from")
        return await signed_place(pool, open_checkpoint(read_note(Path(begin)), *keys))
    found = await hash_at(pool, int(begin))
    if found is None:
        raise typer.BadParameter(f"the log has no position {begin}", param_hint="--from")
    return Cursor(int(begin), found)
