"""The projections' queries, one file each; the file's first line says what it answers.

Queries that serve every projection have places for names, `{table}`, `{key}`, `{columns}`, which are filled
from the code's own constants, never from data.
"""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """The SQL text of `<name>.sql`."""
    return files(__name__).joinpath(f"{name}.sql").read_text("utf-8")
