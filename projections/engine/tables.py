"""Versioned tables of one projection, made of its row."""

from collections.abc import AsyncIterator, Iterable, Sequence
from types import NoneType
from typing import Any, Final, get_args

import asyncpg
import msgspec
from msgspec.structs import FieldInfo, fields

from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine.projection import AnyProjection

query = load_queries("projections.engine")

_encoder = msgspec.json.Encoder()
_PAGE = 2000
_SQL: Final = {str: "text", int: "bigint", bool: "boolean"}


class Table:
    """One version of a projection's table, on the caller's connection and transaction.

    With a `schema`: a table there that is no version of it and has no cursor.
    """

    def __init__(self, projection: AnyProjection, version: int, *, schema: str = "") -> None:
        self.projection = projection
        self.version = version
        self._schema = schema
        self._plain = projection.name if schema else f"{projection.name}_v{version}"
        self.name = f'"{schema}".{self._plain}' if schema else self._plain
        columns = projection.columns
        self._names = {
            "table": self.name,
            "key": columns[0],
            "columns": ", ".join(columns),
            "excluded": ", ".join(f"excluded.{column}" for column in columns),
            "view": projection.name,
        }

    async def create(self, connection: Connection) -> None:
        """Create the table, empty and without its indexes."""
        columns, fillfactor = ", ".join(_definitions(self.projection).values()), self.projection.fillfactor
        sql = query("create_table").format(**self._names, definitions=columns, fillfactor=fillfactor)
        await connection.execute(sql)
        if not self._schema:
            await connection.execute(self._query("grant_table"))

    async def extend(self, connection: Connection, columns: Iterable[str]) -> None:
        """Add columns that the row has got since; a rebuild gives the values."""
        definitions = _definitions(self.projection)
        added = ", ".join(f"ADD COLUMN {definitions[column]}" for column in columns)
        await connection.execute(f"ALTER TABLE {self.name} {added}")

    async def index(self, connection: Connection) -> None:
        for index in self.projection.indexes:
            await connection.execute(f"CREATE INDEX ON {self.name} {index}")

    async def show(self, connection: Connection) -> None:
        """Let the view show this version."""
        await connection.execute(self._query("replace_view"))

    async def load(self, connection: Connection, keys: Iterable[str]) -> dict[str, Any]:
        rows = await connection.fetch(self._query("load_rows"), list(keys))
        return {row[0]: self.projection.from_columns(row) for row in rows}

    async def store(self, connection: Connection, rows: Sequence[msgspec.Struct]) -> None:
        if rows:
            await connection.execute(self._query("store_rows"), _encoder.encode(rows).decode())

    async def insert(self, connection: Connection, rows: Sequence[msgspec.Struct]) -> None:
        """Add new rows; much faster than `store` for many."""
        if rows:
            to_columns = self.projection.to_columns
            await connection.copy_records_to_table(
                self._plain,
                records=map(to_columns, rows),
                columns=self.projection.columns,
                schema_name=self._schema or None,
            )

    async def scan(self, connection: Connection) -> AsyncIterator[Any]:
        """All rows in the order of their keys' bytes; needs a transaction."""
        async for page in self.scan_columns(connection):
            for row in page:
                yield self.projection.from_columns(row)

    async def scan_columns(self, connection: Connection) -> AsyncIterator[list[asyncpg.Record]]:
        cursor = await connection.cursor(self._query("all_rows"))
        while page := await cursor.fetch(_PAGE):
            yield page

    def _query(self, name: str) -> str:
        return query(name).format_map(self._names)


def _definitions(projection: AnyProjection) -> dict[str, str]:
    """Column → its definition in SQL, by the field's type and default."""
    return {
        field.name: _definition(field, field.name in projection.json_columns)
        for field in fields(projection.row)
    }


def _definition(field: FieldInfo, is_json: bool) -> str:
    types = get_args(field.type) or (field.type,)
    first = types[0] if isinstance(types[0], type) else type(types[0])  # of a Literal its first value's
    sql = f"{field.name} {'json' if is_json else _SQL[first]}"
    if NoneType not in types:
        sql += " NOT NULL"
    if field.default in (None, msgspec.NODEFAULT):
        return sql
    default = field.default if isinstance(field.default, str) else _encoder.encode(field.default).decode()
    return f"{sql} DEFAULT '{default}'"
