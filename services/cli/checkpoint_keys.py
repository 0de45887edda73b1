"""What the commands about checkpoints and proofs share: keys from text or file, notes from files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import ExitCode
from services.cli.output import OutputFormat, emit, say

if TYPE_CHECKING:
    from ledger.checkpoints.signed_note import PublicKey

_KEYS_CHARS_MAX = 100_000

PublicKeys = Annotated[
    list[str],
    typer.Option(
        "--public-key", "-k", metavar="KEY|FILE", show_default=False,
        help="The public key, or a file that holds it; several times for keys that followed each other.",
    ),
]  # fmt: skip


def public_keys(given: Iterable[str]) -> "list[PublicKey]":
    """Keys as they were given, themselves or as files with one key per line. Raises MalformedKeyError."""
    from ledger.checkpoints.signed_note import MalformedKeyError, parse_public

    found = []
    for text in given:
        if "+" not in text or Path(text).is_file():
            try:
                with Path(text).open(encoding="utf-8") as file:
                    lines = file.read(_KEYS_CHARS_MAX).splitlines()
            except (OSError, ValueError):
                raise MalformedKeyError(f"{text} is neither a public key nor a file that holds one") from None
        else:
            lines = [text]
        found += [parse_public(line) for line in lines if line.strip()]
    if not found:
        raise MalformedKeyError("no public key was given")
    return found


def read_file(path: Path, bytes_max: int) -> bytes:
    """A file somebody gave us; usage error when it cannot be read. Longer ones come one byte too long."""
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as error:
        say(f"{path} cannot be read: {error.strerror}")
        raise typer.Exit(ExitCode.USAGE) from None


def read_note(path: Path) -> str:
    """A note from a file. Raises NoteError when it is no text."""
    from ledger.checkpoints.signed_note import NOTE_BYTES_MAX, MalformedNoteError

    try:
        return read_file(path, NOTE_BYTES_MAX).decode()
    except UnicodeDecodeError:
        raise MalformedNoteError(f"{path} is no signed note: it is no text") from None


def end_damaged(found: Iterable[Mapping[str, Any]], output: OutputFormat) -> None:
    """Show what is wrong, each with its `kind`, `position` and `message`, and end with exit code 3."""
    listed = list(found)
    emit(listed, output)
    say(f"{len(listed)} problems found" if len(listed) > 1 else "1 problem found")
    raise typer.Exit(ExitCode.INTEGRITY)
