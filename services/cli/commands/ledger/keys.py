"""`neurocards ledger keygen`, `public-key`: the key that signs checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.errors import ExitCode
from services.cli.output import say


def register(app: typer.Typer) -> None:
    app.command("keygen")(keygen)
    app.command("public-key")(public_key)


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
    """Make a key that signs checkpoints, and print its public key: that one is for the auditor."""
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
    from services.cli.environment import settings_here
    from services.recovery.checkpoint_files import require_signing_key

    key = require_signing_key(settings_here()).public
    typer.echo(key.pem() if pem else str(key), nl=not pem)
