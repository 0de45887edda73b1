"""Output of commands: data to stdout in the chosen form, words to stderr."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text


class OutputFormat(StrEnum):
    table = "table"
    json = "json"
    jsonl = "jsonl"


Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="Form of the data on stdout.")]

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*|")
"""What stands to the right in its column; nothing is as good as a number."""

WIDE = 1_000_000
"""Columns of a table that goes into a pipe or file: a row is a line there, whatever is in it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
"""Ends of lines, and what could steer a terminal: some cells hold words from outside."""


def say(words: str) -> None:
    """Print a message to stderr; a closed stderr is no error."""
    with suppress(OSError):
        typer.echo(words, err=True)


def say_count(count: int, limit: int, what: str) -> None:
    say(f"{count} {what}" if count < limit else f"the newest {limit}; raise --limit for more, if there are")


def emit(rows: Iterable[Mapping[str, Any]], form: OutputFormat, *, title: str | None = None) -> None:
    listed = [dict(row) for row in rows]
    match form:
        case OutputFormat.json:
            typer.echo(json.dumps(listed, ensure_ascii=False, indent=2, default=str))
        case OutputFormat.jsonl:
            for row in listed:
                typer.echo(json.dumps(row, ensure_ascii=False, default=str))
        case OutputFormat.table:
            _table(listed, title)


def _table(rows: list[dict[str, Any]], title: str | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for name in rows[0]:
        numbers = all(_NUMBER.fullmatch(str(row[name] if row[name] is not None else "")) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    if sys.stdout.isatty():
        Console(file=sys.stdout).print(table)
        return
    console = Console(file=io.StringIO(), width=WIDE, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def cell(value: Any) -> Text:
    """The value on one line, never read as markup."""
    from rich.text import Text

    return Text("" if value is None else _CONTROL.sub(" ", str(value)))
