"""Options and arguments shared by commands, and how their values are read.

--dry-run   show what would change, and stop
--yes       do it without asking; needed where there is no terminal to ask on
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from services.cli import shell_completion
from services.cli.errors import ExitCode
from services.cli.output import OutputFormat, emit, say

if TYPE_CHECKING:
    from ledger.checkpoints.signed_note import PublicKey
    from projections.verify.findings import Problem

T = TypeVar("T")
_KEYS_CHARS_MAX = 100_000
_SAID_CHARS_MAX = 500

User = Annotated[str, typer.Argument(metavar="USER", help="An account's id, or a Telegram id (digits).")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]
Charge = Annotated[
    bool, typer.Option("--charge", help="Charge the seller like for an order; else it is free.")
]
WithModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", autocompletion=shell_completion.models, help="Make it with another model."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed without a terminal.")]


def said(option: typer.CallbackParam, text: str) -> str:
    """Refuse an empty or very long reason. Raises typer.BadParameter."""
    if option.required and not text.strip():
        raise typer.BadParameter("is empty")
    if len(text) > _SAID_CHARS_MAX:
        raise typer.BadParameter(f"has {len(text):,} characters; at most {_SAID_CHARS_MAX}")
    return text


Reason = Annotated[
    str,
    typer.Option("--reason", callback=said, help="Why, as it shall stand in the ledger. Nothing personal."),
]
PublicKeys = Annotated[
    list[str],
    typer.Option(
        "--public-key", "-k", metavar="KEY|FILE", show_default=False,
        help="The public key, or a file that holds it; several times for keys that followed each other.",
    ),
]  # fmt: skip
SomeKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--public-key", "-k", metavar="KEY|FILE",
        help="Of who signs checkpoints; several times for keys that followed each other.",
    ),
]  # fmt: skip
Under = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="The checkpoint to prove under; the newest stored one by default."),
]


def confirm(dry_run: bool, yes: bool) -> None:
    """Ask, or end the command: 0 after a dry run, 2 when not confirmed, 130 after Ctrl-C."""
    if dry_run:
        say("nothing was changed; leave out --dry-run to do it")
        raise typer.Exit(ExitCode.OK)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        say("not confirmed: there is no terminal to ask on; repeat with --yes")
        raise typer.Exit(ExitCode.USAGE)
    try:
        meant = typer.confirm("Do it?", err=True)
    except typer.Abort as abort:  # Ctrl-C, or the end of the input
        interrupted = isinstance(abort.__context__, KeyboardInterrupt)
        say("\nnot confirmed; nothing was changed")
        raise typer.Exit(ExitCode.INTERRUPTED if interrupted else ExitCode.USAGE) from None
    if not meant:
        say("not confirmed; nothing was changed")
        raise typer.Exit(ExitCode.USAGE)


def public_keys(given: Iterable[str]) -> "list[PublicKey]":
    """Keys given themselves or as files with one per line. Raises MalformedKeyError."""
    from ledger.checkpoints.signed_note import parse_public

    return keys_given(given, parse_public)


def keys_given(given: Iterable[str], parse: Callable[[str], T]) -> list[T]:
    """Keys of a kind, given as `public_keys` are. Raises MalformedKeyError."""
    from ledger.checkpoints.signed_note import MalformedKeyError

    found = []
    for text in given:
        if "+" not in text or os.path.isfile(text):  # noqa: PTH113: of a Path it fails for a long name
            try:
                with Path(text).open(encoding="utf-8") as file:
                    lines = file.read(_KEYS_CHARS_MAX).splitlines()
            except (OSError, ValueError):
                raise MalformedKeyError(f"{text} is neither a public key nor a file that holds one") from None
        else:
            lines = [text]
        found += [parse(line) for line in lines if line.strip()]
    if not found:
        raise MalformedKeyError("no public key was given")
    return found


def read_file(path: Path, bytes_max: int) -> bytes:
    """Read a file given by the user. Longer ones come one byte too long; usage error when unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as error:
        say(f"{path} cannot be read: {error.strerror}")
        raise typer.Exit(ExitCode.USAGE) from None


def read_note(path: Path) -> str:
    """Read a signed note. Raises NoteError when it is no text."""
    from ledger.checkpoints.signed_note import NOTE_BYTES_MAX, MalformedNoteError

    try:
        return read_file(path, NOTE_BYTES_MAX).decode()
    except UnicodeDecodeError:
        raise MalformedNoteError(f"{path} is no signed note: it is no text") from None


@contextmanager
def files_checked(output: OutputFormat) -> Iterator[None]:
    """Exit code 3 for a note, proof or manifest that proves nothing."""
    from ledger.checkpoints.proof import ProofError
    from ledger.checkpoints.signed_note import NoteError
    from projections.engine.errors import MalformedManifestError
    from projections.verify.findings import Problem

    try:
        yield
    except ProofError as error:
        found = Problem("proof", error.position, str(error))
    except NoteError as error:
        found = Problem("note", None, str(error))
    except MalformedManifestError as error:
        found = Problem("manifest", None, f"no manifest as it is written: {error}")
    else:
        return
    end_damaged([found], output)


def end_damaged(found: "Iterable[Problem]", output: OutputFormat) -> NoReturn:
    """Print findings with `kind`, `position` and `message`; end with exit code 3."""
    rows = [{"kind": each.kind, "position": each.position, "message": each.message} for each in found]
    emit(rows, output)
    say(f"{len(rows)} problems found" if len(rows) > 1 else "1 problem found")
    raise typer.Exit(ExitCode.INTEGRITY)
