"""Data goes to stdout in the form that was asked for; progress and words go to stderr."""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer


class OutputFormat(StrEnum):
    table = "table"
    json = "json"
    jsonl = "jsonl"


Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="Form of the data on stdout.")]

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*|")
"""What stands to the right in its column; nothing is as good as a number."""

_WIDE = 400
"""Columns of a table that goes into a pipe or file: nothing is cut to a screen that is not there."""


def say(words: str) -> None:
    """Tell the person something; never part of the data."""
    typer.echo(words, err=True)


def emit(rows: Iterable[Mapping[str, Any]], form: OutputFormat, *, title: str | None = None) -> None:
    """Write rows with the same keys to stdout."""
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

    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else _WIDE, soft_wrap=not terminal)
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for name in rows[0] if rows else ():
        numbers = all(_NUMBER.fullmatch(str(row[name] if row[name] is not None else "")) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(table)
