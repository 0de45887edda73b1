"""Load named SQL queries from a package's `queries.sql`.

Each statement follows a `-- name:` line and a line of description, and takes `$n` parameters. Places for
table names, `{table}`, are filled from the code's own constants, never from data.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

FILE = "queries.sql"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(package: str) -> Callable[[str], str]:
    def query(name: str) -> str:
        return queries(package)[name]

    return query


@cache
def queries(package: str) -> dict[str, str]:
    _, *parts = _NAME.split(files(package).joinpath(FILE).read_text("utf-8"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
