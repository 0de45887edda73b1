"""`neurocards ledger checkpoint|verify-checkpoint|keygen|public-key|prove|verify-proof`.

A checkpoint signs the log as it is; a proof tells that single events are under a checkpoint.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.connections import auditor_pool, prepare, settings_here
from services.cli.errors import ExitCode
from services.cli.options import Damage, PublicKeys, end_damaged, public_keys, read_file, read_note
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from ledger.checkpoints.signed_note import PublicKey
    from services.platform.settings import Settings


def checkpoint(
    to: Annotated[
        Path | None,
        typer.Option(help="Write it to this file or folder too; `-`: to stdout.", show_default=False),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Sign the log as it is now; stored in the database and in CHECKPOINT_DIR. Needs the private key."""
    import asyncio

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
    from projections.checkpoints import make_checkpoint
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
    """Check a checkpoint's signature and the log against it; silent and 0 when both hold.

    A checkpoint of events that a signed restoration has lost is explained by it: that is said, and 0.
    """
    import asyncio

    from ledger.checkpoints.signed_note import NoteError

    keys = public_keys(public_key)
    settings = prepare("verify-checkpoint")
    try:
        note = read_note(file)
        extra = [read_note(path) for path in restored or ()]
        found = asyncio.run(_verify(settings, note, keys, extra, offline=offline, deep=deep))
    except NoteError as error:
        found = [Damage("note", None, str(error))]
    if found:
        end_damaged(found, output)


async def _verify(
    settings: "Settings", note: str, keys: "list[PublicKey]", extra: list[str], *, offline: bool, deep: bool
) -> list[Any]:
    from ledger.checkpoints.checkpoint import parse, time_text
    from ledger.checkpoints.signed_note import open_note
    from projections.checkpoints import verify_statement

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
    return list(answer.damage)


def keygen(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The new file for the private key.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="The log's name, e.g. example.com/credits; LOG_NAME by default.", show_default=False
        ),
    ] = None,
) -> None:
    """Make a key that signs checkpoints; print its public key, for auditors."""
    from services.platform.settings import load_settings
    from services.recovery.checkpoint_files import DEFAULT_NAME, make_key

    try:
        key = make_key(file, name or load_settings().log_name or DEFAULT_NAME)
    except OSError as error:
        say(f"{file} cannot be written: {error.strerror}; an existing file is never replaced")
        raise typer.Exit(ExitCode.USAGE) from None
    typer.echo(str(key.public))
    say(f"private key in {file}: set CHECKPOINT_KEY_FILE to it, and keep a copy where the database is not")


def public_key(
    pem: Annotated[bool, typer.Option("--pem", help="In PEM, as openssl reads it.")] = False,
) -> None:
    """Print the public key of the configured private key."""
    from services.recovery.checkpoint_files import require_signing_key

    key = require_signing_key(settings_here()).public
    typer.echo(key.pem() if pem else str(key), nl=not pem)


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
    """Write a proof of one logged fact, checkable without a database."""
    import asyncio

    settings = prepare("prove")
    under = read_note(checkpoint) if checkpoint else None
    text, count = asyncio.run(_prove(settings, name, under))
    if to == Path("-"):
        typer.echo(text, nl=False)
        return
    to.write_text(text, encoding="utf-8")
    say(f"{count} events proven in {to}")


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


def verify_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The proof.", show_default=False)],
    public_key: PublicKeys,
    output: Output = OutputFormat.table,
) -> None:
    """Check a proof with the public key alone; print what it proves."""
    from ledger.checkpoints.proof import PROOF_BYTES_MAX, ProofError, decode, verify
    from ledger.checkpoints.signed_note import NoteError

    keys = public_keys(public_key)
    try:
        checkpoint, events = verify(decode(read_file(file, PROOF_BYTES_MAX)), *keys)
    except ProofError as error:
        end_damaged([Damage("proof", error.position, str(error))], output)
    except NoteError as error:
        end_damaged([Damage("note", None, str(error))], output)
    _show_events(checkpoint, events, output)


def _show_events(checkpoint: Any, events: list[Any], output: OutputFormat) -> None:
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
    from events.codec import decode
    from events.errors import CodecError
    from projections.reports.event_text import describe

    try:
        return describe(decode(event))
    except CodecError:
        return str(event.data)
