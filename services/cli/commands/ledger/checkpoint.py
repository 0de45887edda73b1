"""`neurocards ledger checkpoint`, `verify-checkpoint`: the log signed, and held against what was signed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.checkpoint_keys import PublicKeys, end_damaged, public_keys, read_note
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from ledger.checkpoints.signed_note import PublicKey
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("checkpoint")(checkpoint)
    app.command("verify-checkpoint")(verify_checkpoint)


def checkpoint(
    to: Annotated[
        Path | None,
        typer.Option(help="Write it to this file or folder too; `-`: to stdout.", show_default=False),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Sign the log as it is now; stored in the database and in CHECKPOINT_DIR. Needs the private key."""
    import asyncio

    from services.cli.environment import prepare
    from services.recovery import checkpoint_files as files

    settings = prepare("checkpoint")
    key, where = files.require_signing_key(settings), files.folder(settings)
    made = asyncio.run(_make(settings, key, where))
    written = [files.keep_note(where, made.note)]
    if to == Path("-"):
        typer.echo(made.note, nl=False)
        return
    if to is not None:
        written.append(files.keep_note(to, made.note) if to.is_dir() else files.write_file(to, made.note))
    head = made.statement.head
    emit(
        [{"position": head.position, "head": head.hash.hex(), "file": str(path)} for path in written], output
    )


async def _make(settings: "Settings", key: Any, where: Path) -> Any:
    from projections.checkpoints.sign import make_checkpoint
    from services.platform.database import create_pool
    from services.recovery.checkpoint_files import kept_notes

    async with await create_pool(settings, "checkpoint", max_size=1) as pool:
        return await make_checkpoint(pool, key, kept_notes=kept_notes(where))


def verify_checkpoint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The signed note.", show_default=False)],
    public_key: PublicKeys,
    offline: Annotated[bool, typer.Option("--offline", help="The signature only; no database.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Fold the log again for states and books too.")
    ] = False,
    restored: Annotated[
        list[Path] | None,
        typer.Option(help="A signed restoration kept elsewhere; several times.", show_default=False),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Check a signature, and that the log still is what was signed; silent and 0 when it is.

    A checkpoint of events that a signed restoration has lost is explained by it: that is said, and 0.
    """
    import asyncio

    from ledger.checkpoints.signed_note import NoteError
    from services.cli.environment import prepare

    keys = public_keys(public_key)
    settings = prepare("verify-checkpoint")
    try:
        note = read_note(file)
        extra = [read_note(path) for path in restored or ()]
        found = asyncio.run(_verify(settings, note, keys, extra, offline=offline, deep=deep))
    except NoteError as error:
        found = [{"kind": "note", "position": None, "message": str(error)}]
    if found:
        end_damaged(found, output)


async def _verify(
    settings: "Settings", note: str, keys: "list[PublicKey]", extra: list[str], *, offline: bool, deep: bool
) -> list[dict[str, Any]]:
    from ledger.checkpoints.checkpoint import parse, time_text
    from ledger.checkpoints.signed_note import open_note
    from projections.checkpoints.check import verify_statement
    from services.cli.connections import auditor_pool

    statement = parse(open_note(note, *keys))
    if offline:
        return []
    async with auditor_pool(settings) as pool:
        answer = await verify_statement(pool, statement, keys, extra, deep=deep)
    if answer.explained_by is not None:
        by = answer.explained_by
        say(
            f"position {statement.head.position} is not in the log any more, and that is explained: it went "
            f"back to {by.kept.position} and lost what was up to {by.lost.position}, as {by.actor} signed at "
            f"{time_text(by.time_us)}: {by.reason}"
        )
    return [{"kind": d.kind, "position": d.position, "message": d.message} for d in answer.damage]
