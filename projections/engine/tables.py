"""Versioned tables of one projection: reading and writing rows."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg
import msgspec

from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine.projection import AnyProjection

query = load_queries("projections.engine")

_encoder = msgspec.json.Encoder()
_PAGE = 2000


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
        }

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
