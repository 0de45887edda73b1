"""Groups of commands, a module or a folder each, which register themselves."""

from collections.abc import Mapping
from typing import Any

import typer


def add_group(app: typer.Typer, name: str, words: str, commands: Mapping[str, Any]) -> None:
    group = typer.Typer(name=name, no_args_is_help=True, help=words)
    for command, function in commands.items():
        group.command(command)(function)
    app.add_typer(group)
