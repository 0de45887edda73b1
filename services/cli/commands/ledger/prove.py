"""`neurocards ledger prove`, `verify-proof`: that single events are under a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.checkpoint_keys import PublicKeys, end_damaged, public_keys, read_file, read_note
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("prove")(prove)
    app.command("verify-proof")(verify_proof)


def prove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A position, or a job's, order's, payment's or charge's id.",
            show_default=False,
        ),
    ],
    to: Annotated[Path, typer.Option(help="The proof's file; `-`: stdout.", show_default=False)],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="The checkpoint to prove under; the newest stored one by default.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a small file that proves what the log says of one thing, to be checked without a database."""
    import asyncio

    from services.cli.environment import prepare

    settings = prepare("prove")
    under = read_note(checkpoint) if checkpoint else None
    text, count = asyncio.run(_prove(settings, name, under))
    if to == Path("-"):
        typer.echo(text, nl=False)
        return
    to.write_text(text, encoding="utf-8")
    say(f"{count} events proven in {to}")


async def _prove(settings: "Settings", name: str, under: str | None) -> tuple[str, int]:
    from ledger.checkpoints.proof import encode
    from ledger.checkpoints.prover import positions_of
    from ledger.checkpoints.prover import prove as prove_positions
    from projections.checkpoints.check import covering_note
    from projections.engine.errors import NotInLogError
    from services.cli.connections import auditor_pool

    async with auditor_pool(settings) as pool:
        positions = await positions_of(pool, name)
        if not positions:
            raise NotInLogError(f"there is no position, job, order, payment or charge {name!r} in the log")
        note = under or await covering_note(pool, positions[-1])
        return encode(note, await prove_positions(pool, positions, note)), len(positions)


def verify_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The proof.", show_default=False)],
    public_key: PublicKeys,
    output: Output = OutputFormat.table,
) -> None:
    """Check a proof with the public key alone, and print what it proves."""
    from ledger.checkpoints.proof import PROOF_BYTES_MAX, ProofError, decode, verify
    from ledger.checkpoints.signed_note import NoteError

    keys = public_keys(public_key)
    try:
        checkpoint, events = verify(decode(read_file(file, PROOF_BYTES_MAX)), *keys)
    except ProofError as error:
        end_damaged([{"kind": "proof", "position": error.position, "message": str(error)}], output)
    except NoteError as error:
        end_damaged([{"kind": "note", "position": None, "message": str(error)}], output)
    else:
        _show(checkpoint, events, output)


def _show(checkpoint: Any, events: list[Any], output: OutputFormat) -> None:
    from ledger.checkpoints.checkpoint import time_text

    rows = [
        {
            "position": event.position,
            "time": time_text(event.recorded_at_us),
            "stream": event.stream,
            "type": event.type,
            "words": _words(event),
        }
        for event in events
    ]
    emit(rows, output)
    say(f"under the checkpoint of {checkpoint.origin} at {checkpoint.head.position}, signed "
        f"{time_text(checkpoint.time_us)}")  # fmt: skip


def _words(event: Any) -> str:
    """What it says; its exact text where this version cannot read it."""
    from events.codec import decode
    from events.errors import CodecError
    from projections.reports.event_text import words_of

    try:
        return words_of(decode(event))
    except CodecError:
        return str(event.data)
