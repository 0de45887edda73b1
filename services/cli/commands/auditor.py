"""`neurocards auditor add|remove`: logins that read the ledger and hold nobody up."""

import asyncio
import re
from typing import Annotated

import typer

from services.cli.commands import add_group
from services.cli.connections import prepare
from services.cli.options import DryRun, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say


def _named(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", text):
        raise typer.BadParameter("up to 40 letters a-z, digits and _, a letter first")
    return text


Name = Annotated[str, typer.Argument(metavar="NAME", callback=_named, help="Their login is `auditor_NAME`.")]


def register(app: typer.Typer) -> None:
    commands = {"add": add, "remove": remove}
    add_group(app, "auditor", "Logins that read the ledger. Needs DATABASE_OWNER_URL.", commands)


def add(name: Name, output: Output = OutputFormat.table) -> None:
    """Make a login for an auditor, and show its password, once.

    It may read the log, the read models and what chats were told, over five connections, for ten minutes a
    statement. It may write nothing, not even temporarily, and hold up no append.
    """
    from services.migrations import auditors

    login, password = asyncio.run(auditors.add(prepare("auditor").require_owner_url(), name))
    emit([{"login": login, "password": password}], output)
    say("hand it over by a safe way: it is kept nowhere")


def remove(
    name: Name, dry_run: DryRun = False, yes: Yes = False, output: Output = OutputFormat.table
) -> None:
    """End an auditor's sessions and drop the login."""
    from services.migrations import auditors

    url = prepare("auditor").require_owner_url()
    connections = asyncio.run(auditors.connections(url, name))
    emit([{"login": auditors.PREFIX + name, "connections": connections}], output)
    confirm(dry_run, yes)
    ended = asyncio.run(auditors.remove(url, name))
    say(f"removed; {ended} sessions were ended")
