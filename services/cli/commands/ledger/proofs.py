"""`neurocards ledger prove|verify-proof`: single events, or a whole earlier log, under a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.connections import auditor_pool, prepare
from services.cli.options import PublicKeys, Under, files_checked, public_keys, read_file, read_note
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from services.platform.settings import Settings


def prove(
    to: Annotated[Path, typer.Option(help="The proof's file; `-`: stdout.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="A position, or a job's, order's, payment's or charge's id.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Under = None,
    consistency: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="OLD NEW", show_default=False,
            help="Instead of an ID: that one checkpoint's log begins with that of an earlier one; two notes, "
            "or the sizes of stored ones. The file is what a witness takes (C2SP tlog-witness).",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Write a proof of a fact, or of two checkpoints, checkable offline."""
    import asyncio

    if (name is None) == (consistency is None):
        raise typer.BadParameter("give an ID, or --consistency", param_hint="ID")
    settings = prepare("prove")
    if consistency is not None:
        text = asyncio.run(_prove_consistency(settings, *consistency))
        told = f"{' and '.join(consistency)} compared"
    else:
        under = read_note(checkpoint) if checkpoint else None
        text, count = asyncio.run(_prove(settings, name or "", under))
        told = f"{count} events proven"
    if to == Path("-"):
        typer.echo(text, nl=False)
        return
    to.write_text(text, encoding="utf-8")
    say(f"{told} in {to}")


async def _prove(settings: "Settings", name: str, under: str | None) -> tuple[str, int]:
    from ledger.checkpoints.proof import encode, positions_of
    from ledger.checkpoints.proof import prove as prove_positions
    from projections.checkpoints import covering_note
    from projections.engine.errors import NotInLogError

    async with auditor_pool(settings) as pool:
        positions = await positions_of(pool, name)
        if not positions:
            raise NotInLogError(f"there is no position, job, order, payment or charge {name!r} in the log")
        note = under or await covering_note(pool, positions[-1])
        return encode(note, await prove_positions(pool, positions, note)), len(positions)


async def _prove_consistency(settings: "Settings", old: str, new: str) -> str:
    from ledger.checkpoints import consistency
    from ledger.checkpoints.checkpoint import parse, require_checkpoint

    async with auditor_pool(settings) as pool:
        notes = [await _note(pool, which) for which in (old, new)]
        first, second = (require_checkpoint(parse(note)) for note in notes)
        return await consistency.prove(pool, first, second, notes[1])


async def _note(pool: "Pool", which: str) -> str:
    """A note's file, or the stored note of a size."""
    from ledger.checkpoints.store import newest_checkpoint
    from projections.engine.errors import NotInLogError

    if not (which.isascii() and which.isdigit() and len(which) < 19):
        return read_note(Path(which))
    found = await newest_checkpoint(pool, at_least=int(which), at_most=int(which))
    if found is None:
        raise NotInLogError(f"no checkpoint of {which} events is stored")
    return found.note


def verify_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The proof.", show_default=False)],
    public_key: PublicKeys,
    output: Output = OutputFormat.table,
) -> None:
    """Check a proof with the public key alone; print what it proves."""
    from ledger.checkpoints.checkpoint import time_text
    from ledger.checkpoints.proof import PROOF_BYTES_MAX, decode, verify

    keys = public_keys(public_key)
    with files_checked(output):
        checkpoint, events = verify(decode(read_file(file, PROOF_BYTES_MAX)), *keys)
    rows = [
        {"position": e.position, "time": time_text(e.recorded_at_us), "stream": e.stream, "type": e.type}
        | {"words": _words(e)}
        for e in events
    ]
    emit(rows, output)
    say(f"under the checkpoint of {checkpoint.origin} at {checkpoint.size}")


def _words(event: Any) -> str:
    from events.codec import decode
    from events.errors import CodecError
    from projections.reports.event_text import describe

    try:
        return describe(decode(event))
    except CodecError:
        return str(event.data)
