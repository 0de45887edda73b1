"""`neurocards`: the command line.

Each module in `services/cli/commands/`, or `commands.py` of a folder there, is the command or group of its
name. It registers itself when that is on the command line, and imports what it needs only when it runs.
"""

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer

from services import __version__
from services.cli import commands
from services.cli.errors import TidyGroup


class Commands(Mapping[str, Any]):
    """Every command by its name, made when it is asked for."""

    def __init__(self) -> None:
        self._modules = {
            module.name.replace("_", "-"): f"{commands.__name__}.{module.name}{'.commands' * module.ispkg}"
            for module in iter_modules(commands.__path__)
        }
        self._made: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            own = typer.Typer()
            import_module(self._modules[name]).register(own)
            self._made |= typer.main.get_group(own).commands
        return self._made[name]


class Root(TidyGroup):
    """All commands; making every one of them takes longer than most of them run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": Commands()})


app = typer.Typer(
    name="neurocards",
    cls=Root,
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
