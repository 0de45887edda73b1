"""All commands as they are registered, for the reference and for the tests of their manners."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from services.cli.main import app

PROGRAM = "neurocards"


def groups() -> dict[str, Any]:
    """Every group by its name; commands of their own are in the group of no name."""
    top: Any = typer.main.get_command(app)
    found = {name: command for name, command in top.commands.items() if hasattr(command, "commands")}
    return {"": top, **dict(sorted(found.items()))}


def commands() -> dict[str, Any]:
    """Every command by its words, e.g. `jobs list`, in the order of the reference."""
    return dict(_commands())


def _commands() -> Iterator[tuple[str, Any]]:
    for group, found in groups().items():
        for name, command in sorted(found.commands.items()) if not group else found.commands.items():
            if not hasattr(command, "commands"):
                yield f"{group} {name}".strip(), command


class Line(NamedTuple):
    """An argument or option as the help shows it: its names with its value, and what it is."""

    kind: str
    names: str
    words: str
    required: bool


def lines(words: str, command: Any) -> list[Line]:
    """Arguments, then options; those that must be given first."""
    context = _context(words, command)
    found = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            names, told = record
            if parameter.param_type_name == "argument":
                names = names.split(" ")[0].strip("[]") + (" ..." if parameter.nargs == -1 else "")
            found.append(Line(parameter.param_type_name, names, told, required=parameter.required))
    return sorted(found, key=lambda line: (line.kind, not line.required))


def synopsis(words: str, command: Any) -> str:
    """One line with what must be given: `neurocards credits grant USER CREDITS --reason … [OPTIONS]`."""
    arguments = [line.names if line.required else f"[{line.names}]" for line in lines(words, command)
                 if line.kind == "argument"]  # fmt: skip
    options = [line for line in lines(words, command) if line.kind == "option"]
    required = [line.names.split(", ")[-1] for line in options if line.required]
    more = ["[OPTIONS]"] if any(not line.required for line in options) else []
    return " ".join([PROGRAM, words, *arguments, *required, *more])


def _context(words: str, command: Any) -> Any:
    return command.make_context(words.rpartition(" ")[2], [], resilient_parsing=True)
