"""`neurocards ledger keygen|public-key|rotate-key`: the key that signs checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connections import acting, execute, prepare, settings_here
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from ledger.checkpoints.signed_note import PrivateKey
    from services.platform.settings import Settings


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
    """Print the configured key's public half, under the log's present name."""
    key = _signers(settings_here())[0].public
    typer.echo(key.pem() if pem else str(key), nl=not pem)


def rotate_key(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The new private key, by `keygen`, of the same name.", show_default=False
        ),
    ],
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Hand the log over to another signing key. Needs both private keys."""
    import asyncio

    from events.system import generation
    from ledger.checkpoints.checkpoint import rotate
    from ledger.checkpoints.signed_note import parse_private
    from ledger.system.commands import RotateKey
    from services.cli.options import read_file

    settings = prepare("rotate-key")
    old = _signers(settings)[0]
    new = parse_private(read_file(file, 1000).decode("ascii", "replace"))
    if new.name != (name := generation(old.name)[0]):
        said = f"is a key of {new.name}; make one with `keygen --name {name}`"
        raise typer.BadParameter(said, param_hint="FILE")
    new = new.named(old.name)
    emit([{"old": str(old.public), "new": str(new.public)}], output)
    confirm(dry_run, yes)
    told = rotate(old, new, acting("rotate-key"), reason)
    asyncio.run(execute(settings, RotateKey(told), f"rotated:{new.public}"))
    say(
        "now put the new private key before the old one into CHECKPOINT_KEY_FILE, a line each: both sign; "
        "take the old one out when every auditor and witness has the new public key"
    )


def _signers(settings: "Settings") -> "list[PrivateKey]":
    """Private keys under the log's present name, by the notes kept here."""
    from ledger.checkpoints.checkpoint import current_origin
    from ledger.checkpoints.store import statements_in
    from services.recovery import checkpoint_files as files

    keys = files.require_signing_keys(settings)
    known = statements_in(files.kept_notes(files.folder(settings)), [key.public for key in keys])
    return [key.named(current_origin(key.name, [one for one, _ in known])) for key in keys]
