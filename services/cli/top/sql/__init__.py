"""The view's queries, one file each; the file's first line says what it answers."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """The SQL text of `<name>.sql`."""
    return files(__name__).joinpath(f"{name}.sql").read_text("utf-8")
