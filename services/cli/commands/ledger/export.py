"""`neurocards ledger export|verify-export`: log files, checked without a database."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connections import read
from services.cli.options import SomeKeys
from services.cli.output import Output, OutputFormat, say
from services.cli.progress import walks
from services.cli.timespec import From, To, period

if TYPE_CHECKING:
    from ledger.checkpoints.checkpoint import Checkpoint
    from ledger.postgres import Pool
    from projections.export.manifest import Manifest
    from projections.reports.log_position import AsOf
    from services.platform.settings import Settings


class Form(StrEnum):
    jsonl = "jsonl"
    csv = "csv"


FormOption = Annotated[Form, typer.Option("--format", help="Lines of JSON, or columns.")]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="Where to; a manifest is written beside it. Default: stdout."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
Elsewhere = Annotated[Path | None, typer.Option("--manifest", help="The manifest, if it is elsewhere.")]
Check = Annotated[Path | None, typer.Option(help="A signed checkpoint to hold against the file.")]


def export(
    form: FormOption = Form.jsonl,
    start: From = None,
    end: To = None,
    file: File = None,
    overwrite: Overwrite = False,
) -> None:
    """Export events to a file, with the exact text that was hashed."""
    from projections.export.writer import require_writable

    first, last = period(start, end)
    if file is not None:
        require_writable(file, overwrite=overwrite)

    async def work(pool: Pool, _: Settings) -> Manifest | None:
        return await _export(pool, form, file, first, last)

    manifest = read("export", work)
    if manifest is not None:
        span = f"positions {manifest.first_position} to {manifest.last_position}, " if manifest.events else ""
        say(f"{manifest.events} events in {file}: {span}head {manifest.head_hash}")
        if (signed := manifest.checkpoint()) is None:
            say("no checkpoint reaches its end yet, so none proves it: export it again when one does")
        else:
            say(f"proven by the checkpoint of {signed.size} events, which is in the manifest")


async def _export(
    pool: Pool, form: Form, file: Path | None, first: AsOf | None, last: AsOf
) -> Manifest | None:
    from projections.export.writer import copy, range_of, snapshot
    from projections.export.writer import export as to_file

    async with snapshot(pool) as connection:
        what = await range_of(connection, first, last)
        with walks("export", ("export",), what.first - 1, what.last) as told:
            tell = partial(told, "export")
            if file is not None:
                return await to_file(connection, what, file, form.value, tell)
            await copy(connection, what, form.value, sys.stdout.buffer.write, tell)
            sys.stdout.buffer.flush()
    return None


def verify_export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The exported file; its manifest stands beside it.")
    ],
    manifest: Elsewhere = None,
    checkpoint: Check = None,
    public_key: SomeKeys = None,
    output: Output = OutputFormat.table,
) -> None:
    """Check an exported file without a database: silent and 0 when it is whole.

    Positions, hash chain, totals, and in a file from position 1 on every rule of the ledger. Only a signed
    checkpoint can tell that file and manifest were not made anew together: with `--public-key` the one in the
    manifest, and a checkpoint that you have kept yourself if its events end in the file.
    """
    from projections.export.manifest import path_of, read_manifest
    from projections.export.verify import verify_file
    from services.cli.options import end_damaged, files_checked

    if checkpoint is not None and not public_key:
        raise typer.BadParameter("a checkpoint needs --public-key", param_hint="--checkpoint")
    with files_checked(output):
        said = read_manifest(manifest or path_of(file))
        signed = _signed(said, checkpoint, public_key)
    with walks("verify-export", ("verify",), said.first_position - 1, said.last_position) as told:
        findings = verify_file(file, said, checkpoints=signed, progress=partial(told, "verify"))
    if findings.problems:
        end_damaged(findings.problems, output)


def _signed(manifest: Manifest, checkpoint: Path | None, keys: list[str] | None) -> list[Checkpoint]:
    """The checkpoints to hold against the file, their signatures checked. Raises NoteError."""
    from ledger.checkpoints.checkpoint import open_checkpoint
    from ledger.checkpoints.signed_note import SignatureError
    from services.cli.options import public_keys, read_note

    if not keys:
        return []
    notes = [note for note in (manifest.note, read_note(checkpoint) if checkpoint else None) if note]
    if not notes:
        raise SignatureError("no checkpoint reaches the end of the file, so nothing signed proves it")
    return [open_checkpoint(note, *public_keys(keys)) for note in notes]
