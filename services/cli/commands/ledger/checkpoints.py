"""`neurocards ledger checkpoint|checkpoints|verify-checkpoint|compare-checkpoints`: the log, signed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands.ledger.report import write_report
from services.cli.connections import auditor_pool, open_ledger, prepare, read, run
from services.cli.options import (
    Limit,
    PublicKeys,
    end_damaged,
    files_checked,
    keys_given,
    public_keys,
    read_file,
    read_note,
)
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.timespec import timed_for

if TYPE_CHECKING:
    from ledger.checkpoints.checkpoint import Statement
    from ledger.checkpoints.signed_note import PublicKey
    from projections.checkpoints import Answer
    from services.platform.settings import Settings

_CLOCK_OFF_S = 60
_WITNESS: Any = typer.Option(
    "--witness", "-w", metavar="KEY|FILE", show_default=False,
    help="A witness's key (C2SP tlog-cosignature), or a file that holds it; several times.",
)  # fmt: skip
Witnesses = Annotated[list[str] | None, _WITNESS]
Quorum = Annotated[
    int | None,
    typer.Option(
        min=1, help="How many of the witnesses must have cosigned; all by default.", show_default=False
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        help="Working paper: FILE.json and FILE.html, to print.", metavar="FILE", show_default=False
    ),
]
Note = Annotated[Path, typer.Argument(metavar="FILE", help="The signed note.", show_default=False)]


def checkpoint(
    to: Annotated[
        Path | None,
        typer.Option(help="Write it to this file or folder too; `-`: to stdout.", show_default=False),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Sign the log as it is now; stored in the database and in CHECKPOINT_DIR. Needs the private key.

    The log first states what it is, in one more event. When nothing came since the newest checkpoint, that
    one is written again.
    """
    import asyncio

    from services.recovery import checkpoint_files as files

    settings = prepare("checkpoint")
    made, where = asyncio.run(_make(settings)), files.folder(settings)
    written = [files.keep_note(where, made.note)]
    if to == Path("-"):
        typer.echo(made.note, nl=False)
        return
    if to is not None:
        written.append(files.keep_note(to, made.note) if to.is_dir() else files.write_file(to, made.note))
    root = made.statement.root.hex()
    emit([{"position": made.place.position, "root": root, "file": str(path)} for path in written], output)


async def _make(settings: "Settings") -> Any:
    from ledger.checkpoints.store import newest_checkpoint
    from projections.checkpoints import make_checkpoint
    from services.platform.system_start import program
    from services.recovery import checkpoint_files as files

    keys, kept = files.require_signing_keys(settings), files.kept_notes(files.folder(settings))
    async with open_ledger(settings) as (ledger, pool):
        made = await make_checkpoint(ledger, *keys, program=program(settings), kept_notes=kept)
        return made or await newest_checkpoint(pool)


def checkpoints(limit: Limit = 20, output: Output = OutputFormat.table) -> None:
    """List signed notes, who cosigned them, and where each was delivered."""
    from services.recovery.checkpoint_files import query

    rows = read("checkpoints", lambda pool, _: pool.fetch(query("notes_listed"), limit))
    emit([timed_for(dict(row), output) for row in rows], output)
    say_count(len(rows), limit, "notes" if rows else "no note is signed yet")


def cosign(
    file: Note,
    public_key: PublicKeys,
    witness: Annotated[list[str], _WITNESS],
    output: Output = OutputFormat.table,
) -> None:
    """Keep what witnesses signed of a note, to hand it out with.

    FILE is our note with their lines below. Each is checked against the witness's key, and the note against
    ours and the stored one.
    """
    from ledger.checkpoints.checkpoint import open_checkpoint
    from ledger.checkpoints.signed_note import parse_witness
    from ledger.checkpoints.store import add_cosignature, newest_checkpoint
    from services.recovery import checkpoint_files as files

    keys, witnesses = public_keys(public_key), keys_given(witness, parse_witness)

    async def keep(settings: "Settings") -> Path:
        async with open_ledger(settings) as (_, pool):
            for each in witnesses:
                await add_cosignature(pool, note, each)
            found = await newest_checkpoint(pool, at_least=size, at_most=size)
            assert found is not None
            return files.keep_note(files.folder(settings), found.note)

    with files_checked(output):
        note = _read(file)
        size, seen = open_checkpoint(note, *keys).size, _cosigned(note, witness, None)
        emit([{"position": size, "file": str(run("cosign", keep))}], output)
    say(f"kept{seen}")


def verify_checkpoint(
    file: Note,
    public_key: PublicKeys,
    offline: Annotated[bool, typer.Option("--offline", help="The signature only; no database.")] = False,
    stored_hashes: Annotated[
        bool, typer.Option("--stored-hashes", help="Believe each row's stored hash: quicker, sees less.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Fold the log again for states and books too.")
    ] = False,
    restored: Annotated[
        list[Path] | None,
        typer.Option(help="A signed restoration kept elsewhere; several times.", show_default=False),
    ] = None,
    witness: Witnesses = None,
    quorum: Quorum = None,
    report: Report = None,
    output: Output = OutputFormat.table,
) -> None:
    """Check a checkpoint's signature, and every row of the log against it; one line and 0 when both hold.

    A checkpoint of events that a signed restoration has lost is explained by it: that is said, and 0.
    """
    import asyncio

    from ledger.checkpoints.checkpoint import open_statement
    from ledger.checkpoints.signed_note import NoteError
    from projections.verify.findings import Problem

    keys = public_keys(public_key)
    if report is not None and not report.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {report.parent}; make it first", param_hint="--report")
    settings = prepare("verify-checkpoint")
    try:
        note, *extra = [_read(path) for path in (file, *(restored or ()))]
        seen = _cosigned(note, witness or [], quorum)
        if offline:
            statement, answer = open_statement(note, *keys), None
        else:
            work = _verify(settings, note, keys, extra, rehash=not stored_hashes, deep=deep)
            statement, answer = asyncio.run(work)
        words = _holds(statement, answer) + seen
        found = list(answer.damage) if answer else []
    except NoteError as error:
        statement, answer, words, found = None, None, "", [Problem("note", None, str(error))]
    if report is not None:
        how = {"offline": offline, "rows_rehashed": not (offline or stored_hashes), "states_folded": deep}
        facts = _facts(settings, file, statement, answer) | {"keys": [str(key) for key in keys], **how}
        write_report(
            report, "Check of a checkpoint", facts | {"result": "damaged" if found else words}, found
        )
    if found:
        end_damaged(found, output)
    say(words)


def _read(path: Path) -> str:
    """A note that is not of a time to come. Raises NoteError."""
    import time

    from ledger.checkpoints.checkpoint import parse, require_past

    note = read_note(path)
    require_past(parse(note), time.time_ns() // 1000)
    return note


def _facts(
    settings: "Settings", file: Path, statement: "Statement | None", answer: "Answer | None"
) -> dict[str, Any]:
    """Facts of the working paper: what was checked, and by which version."""
    import time

    from ledger.checkpoints.checkpoint import Checkpoint, time_text
    from projections.export.reader import sha256_of
    from services.platform.system_start import program

    told = answer.told if answer else None
    signed = statement if isinstance(statement, Checkpoint) else None
    return {
        "file": str(file),
        "sha256": sha256_of(file),
        "log": statement.origin if statement else None,
        "events": signed.size if signed else None,
        "root": signed.root.hex() if signed else None,
        "last_hash": answer.hash.hex() if answer and told else None,
        "stated_at": time_text(told.recorded_at_us) if told else None,
        "stated_by": getattr(told.event, "program", None) if told else None,
        "checked_at": time_text(time.time_ns() // 1000),
        "checked_by": f"neurocards {program(settings)}",
    }


def _cosigned(note: str, given: list[str], quorum: int | None) -> str:
    """Which witnesses cosigned it, and when, in words. Raises NoteError when too few did."""
    import time

    from ledger.checkpoints.checkpoint import time_text
    from ledger.checkpoints.signed_note import SignatureError, cosigned, parse_witness

    keys = {key.key: key for key in keys_given(given, parse_witness)} if given else {}
    witnesses = {key.name for key in keys.values()}  # one may have several keys, and counts once
    if quorum is not None and quorum > len(witnesses):
        raise typer.BadParameter("is more than there are witnesses", param_hint="--quorum")
    times = {key.name: at for key in keys.values() if (at := cosigned(note, key)) is not None}
    if max(times.values(), default=0) > time.time() + _CLOCK_OFF_S:
        raise SignatureError("a witness signed it at a time to come: its clock is wrong, or yours")
    seen = [f"{name} at {time_text(at * 1_000_000)}" for name, at in times.items()]
    if len(seen) < (quorum or len(witnesses)):
        said = f"{len(seen)} of {len(witnesses)} witnesses cosigned it: {', '.join(seen) or 'none'}"
        raise SignatureError(said)
    return f"; cosigned by {', '.join(seen)}" if seen else ""


async def _verify(
    settings: "Settings", note: str, keys: "list[PublicKey]", extra: list[str], **how: bool
) -> "tuple[Statement, Answer]":
    from ledger.checkpoints.checkpoint import open_statement
    from ledger.checkpoints.store import remembered_keys
    from projections.checkpoints import verify_statement
    from services.cli.progress import walks

    async with auditor_pool(settings) as pool:
        keys = await remembered_keys(pool, keys)
        statement = open_statement(note, *keys)
        head = await pool.fetchval("SELECT max(position) FROM events") or 0
        with walks("verify-checkpoint", ("chain",), 0, head) as progress:
            return statement, await verify_statement(pool, statement, keys, extra, progress=progress, **how)


def _holds(statement: "Statement", answer: "Answer | None") -> str:
    """What was found to hold, in one line."""
    from ledger.checkpoints.checkpoint import time_text
    from ledger.checkpoints.store import words_for

    signed = f"signed: the {words_for(statement)} events of {statement.origin}"
    if answer is None:
        return f"{signed}; not compared with the log"
    if (by := answer.explained_by) is not None:
        return (
            f"{signed}; not in the log any more, and that is explained: it went back to {by.kept.position} "
            f"and lost what was up to {by.lost.position}, as {by.actor} signed at {time_text(by.time_us)}: "
            f"{by.reason}"
        )
    if answer.told is None:
        return f"{signed}; the log holds it"
    at, program = time_text(answer.told.recorded_at_us), getattr(answer.told.event, "program", "")
    return f"{signed}, stated at {at} by version {program}; the log holds it, hash {answer.hash.hex()}"


def compare_checkpoints(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The earlier note.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The later note.", show_default=False)],
    public_key: PublicKeys,
    proof: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PROOF]", help="Of `prove --consistency`; not for one size.", show_default=False
        ),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Check offline that a later checkpoint's log begins with an earlier one's."""
    from ledger.checkpoints.checkpoint import open_checkpoint
    from ledger.checkpoints.consistency import compare
    from ledger.checkpoints.signed_note import NOTE_BYTES_MAX

    keys = public_keys(public_key)
    with files_checked(output):
        first, second = (open_checkpoint(read_note(path), *keys) for path in (old, new))
        compare(first, second, read_file(proof, NOTE_BYTES_MAX) if proof else None)
    say(f"the log of {second.size} events begins with that of {first.size}")
