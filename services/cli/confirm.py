"""Before a command changes something: what it would do, and whether that is meant.

--dry-run   show it and stop
--yes       do it without asking; needed where there is no terminal to ask on
"""

import sys
from typing import Annotated

import typer

from services.cli.errors import ExitCode
from services.cli.output import say

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed without a terminal.")]
Actor = Annotated[
    str, typer.Option("--actor", help="Who does this, as it shall stand in the ledger. Nothing personal.")
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why, as it shall stand in the ledger. Nothing personal.")
]


def confirm(dry_run: bool, yes: bool) -> None:
    """Go on, or end the command: 0 after a dry run, 2 when it is not confirmed, 130 after Ctrl-C."""
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
