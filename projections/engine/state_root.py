"""State root: one hash over a projection's rows.

SHA-256 over the projection's name and its rows in the order of their keys' bytes, each as a JSON array of its
fields with its length before it. Live, rebuilt from Postgres or from the stream: the same position gives the
same root.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from events.envelope import GENESIS, Cursor
from ledger.log.hash_chain import require_sequence
from ledger.log.reader import LogReader
from ledger.postgres import Connection
from projections.engine.projection import AnyProjection
from projections.engine.registry import projection as projection_of
from projections.engine.runner import changes_of
from projections.engine.tables import Table

PAGE_EVENTS = 2000

_encode = msgspec.json.Encoder().encode


class StateRoot(msgspec.Struct, frozen=True):
    """Root of a projection at a position. `version` is its table's, 0 for none."""

    name: str
    version: int
    cursor: Cursor
    rows: int
    root: str


class RootHash:
    def __init__(self, projection: AnyProjection) -> None:
        name = projection.name.encode()
        self._digest = sha256(len(name).to_bytes(4, "big") + name)
        self.rows = 0

    def add(self, row: msgspec.Struct) -> None:
        self.add_values(msgspec.structs.astuple(row))

    def add_values(self, values: tuple[Any, ...]) -> None:
        text = _encode(values)
        self._digest.update(len(text).to_bytes(4, "big") + text)
        self.rows += 1

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def root_of(projection: AnyProjection, rows: dict[str, Any]) -> str:
    digest = RootHash(projection)
    for row in in_order(rows):
        digest.add(row)
    return digest.hexdigest()


def in_order(rows: dict[str, Any]) -> Iterable[Any]:
    """Rows by their keys' bytes, in UTF-8 the order of code points."""
    return (rows[key] for key in sorted(rows))


async def root_of_table(connection: Connection, table: Table) -> RootHash:
    digest = RootHash(table.projection)
    if table.projection.json_columns:
        async for row in table.scan(connection):
            digest.add(row)
        return digest
    async for page in table.scan_columns(connection):  # a column is a field: no row need be made of them
        for columns in page:
            digest.add_values(tuple(columns))
    return digest


async def build(reader: LogReader, name: str, up_to: int) -> tuple[StateRoot, dict[str, Any]]:
    """A projection's state from the log, at most at its head."""
    projection = projection_of(name)
    rows: dict[str, Any] = {}
    cursor = GENESIS
    while page := await reader.events_after(cursor.position, min(PAGE_EVENTS, up_to - cursor.position)):
        require_sequence(cursor, page)
        projection.fold(rows, await changes_of(reader.pool, projection, page))
        cursor = page[-1].cursor
    return StateRoot(name, 0, cursor, len(rows), root_of(projection, rows)), rows
