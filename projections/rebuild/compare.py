"""Compare two tables of a projection field by field, in one snapshot."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine.tables import Table

query = load_queries("projections.rebuild")

ROWS_SHOWN: Final = 20
WHOLE_ROW: Final = "(row)"
"""Stands for the column where a row is in one of the tables only."""
_PAGE: Final = 500
_WORK_MEM: Final = "SET LOCAL work_mem = '64MB'"
_ONE_PROCESS: Final = "SET LOCAL max_parallel_workers_per_gather = 0"
"""The live system needs the other cores."""


class FieldDifference(msgspec.Struct, frozen=True):
    key: str
    column: str
    live: Any
    rebuilt: Any


class Differences(msgspec.Struct, frozen=True):
    """`rows` differ; `shown` are fields of the first, `keys` their keys."""

    rows: int = 0
    keys: tuple[str, ...] = ()
    shown: tuple[FieldDifference, ...] = ()


NONE: Final = Differences()


async def compare(connection: Connection, live: Table, fresh: Table, show: int = ROWS_SHOWN) -> Differences:
    """Compare the tables' rows by meaning, in the caller's transaction."""
    await connection.execute(_WORK_MEM)
    await connection.execute(_ONE_PROCESS)
    columns = {
        name: ", ".join(_comparable(name, column, live) for column in live.projection.columns)
        for name in ("l", "f")
    }
    sql = query("differing_rows").format(
        key=live.projection.columns[0], live=live.name, fresh=fresh.name, l_columns=columns["l"],
        f_columns=columns["f"],
    )  # fmt: skip
    rows = 0
    keys: list[str] = []
    shown: list[FieldDifference] = []
    cursor = await connection.cursor(sql)
    while page := [row["key"] for row in await cursor.fetch(_PAGE)]:
        theirs, ours = await live.load(connection, page), await fresh.load(connection, page)
        for key in page:
            differing = list(fields(key, theirs.get(key), ours.get(key)))
            rows += bool(differing)
            if differing and len(keys) < show:
                keys.append(key)
                shown += differing
    return Differences(rows, tuple(keys), tuple(shown))


def fields(key: str, live: Any, rebuilt: Any) -> Iterator[FieldDifference]:
    """Where two rows differ; None for a missing row."""
    if live is None or rebuilt is None:
        if live is not rebuilt:
            yield FieldDifference(key, WHOLE_ROW, _there(live), _there(rebuilt))
        return
    for column in live.__struct_fields__:
        one, other = getattr(live, column), getattr(rebuilt, column)
        if one != other:
            yield FieldDifference(key, column, msgspec.to_builtins(one), msgspec.to_builtins(other))


def _there(row: Any) -> str:
    return "missing" if row is None else "there"


def _comparable(table: str, column: str, of: Table) -> str:
    """JSON has no equality; its text has."""
    return f"{table}.{column}" + ("::text" if column in of.projection.json_columns else "")
