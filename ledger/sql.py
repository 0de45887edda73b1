"""Load named queries: one `queries.sql` per package, its statements under `-- name:` lines.

Each statement has a line of description and takes `$n` parameters. Where a statement serves several tables it
has places for names, `{table}`, which are filled from the code's own constants, never from data.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

FILE = "queries.sql"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(package: str) -> Callable[[str], str]:
    """A function from a query's name to its text, for the package's `queries.sql`."""

    def query(name: str) -> str:
        return queries(package)[name]

    return query


@cache
def queries(package: str) -> dict[str, str]:
    """Every query of a package: its text with its description, by name."""
    _, *parts = _NAME.split(files(package).joinpath(FILE).read_text("utf-8"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
