"""`neurocards`: the command line.

Each module in `services/cli/commands/`, or `commands.py` of a folder there, is one group of commands and
registers itself. They import what they need only when they run, so that `neurocards --help` answers at once.
"""

import os
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated

import typer

from services import __version__
from services.cli import commands
from services.cli.errors import TidyGroup

app = typer.Typer(
    name="neurocards",
    cls=TidyGroup,
    help="A seller sends a product photo in a chat and gets a promo video back; every credit is an event.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"neurocards {__version__}")
        raise typer.Exit


@app.callback()
def neurocards(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Where every command begins; each has its own --help."""
    os.umask(0o077)  # photos, logs, backups, exports: what any command or process writes is its owner's


for _module in iter_modules(commands.__path__, f"{commands.__name__}."):
    import_module(f"{_module.name}.commands" if _module.ispkg else _module.name).register(app)
