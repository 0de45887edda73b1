"""Applies events to a projection's table: rows and cursor in one transaction.

Any number of runners may run at once, be killed at any moment, and be given anything twice.
"""

from collections.abc import Sequence
from typing import Any

from events.codec import Event, decode_data
from events.envelope import Cursor, Recorded
from ledger.log.ledger import LogReader
from ledger.postgres import Connection, Pool, Reader
from ledger.sql import load_queries
from projections.engine import cursors
from projections.engine.projection import AnyProjection, Change, ManyRows, OnePerStream, Read
from projections.engine.tables import Table

query = load_queries("projections.engine")


class Runner:
    """Keeps the active table of one projection up with the log."""

    def __init__(self, pool: Pool, projection: AnyProjection) -> None:
        self._pool = pool
        self.projection = projection

    async def cursor(self) -> Cursor:
        """Where the active table is. Raises ProjectionNotFoundError before `neurocards migrate`."""
        _, cursor = await cursors.where_is(self._pool, self.projection.name)
        return cursor

    async def check(self, cursor: Cursor) -> None:
        """Raise IntegrityError unless the log still holds the place."""
        await LogReader(self._pool).check(cursor)

    async def apply(self, batch: list[Recorded]) -> Cursor:
        """Apply a dense batch; where the table is now: read on from there, whatever was in the batch.

        What is applied already is skipped; a batch that starts too late is not applied. Raises
        UnknownEventTypeError or UnfoldableEventError (nothing of the batch is applied), and IntegrityError
        when the
        batch is not what the log holds.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            return await apply(connection, self.projection, batch)


async def apply(
    connection: Connection, projection: AnyProjection, batch: list[Recorded], version: int | None = None
) -> Cursor:
    """Apply a dense batch to the active table, or to that of `version`, in the caller's transaction."""
    locked = await cursors.lock(connection, projection.name, batch, version=version)
    if not locked.fresh:
        return locked.cursor
    changes = await changes_of(connection, projection, locked.fresh)
    if changes:
        table = Table(projection, locked.version)
        rows = await table.load(connection, {key for key, _, _ in changes})
        projection.fold(rows, changes)
        await table.store(connection, list(rows.values()))
    reached = locked.fresh[-1].cursor
    await cursors.move(connection, projection.name, locked.version, reached)
    return reached


async def load_earlier_events(
    reader: Reader, projection: AnyProjection, reads: Sequence[Read]
) -> dict[str, list[Event]]:
    """The earlier events of the streams that the page's events cannot be understood without.

    One query for all of them, none when there are none. Raises CodecError.
    """
    needed = projection.needed_earlier(reads)
    if not needed or not isinstance(projection, ManyRows):
        return {}
    names, versions, types = list(needed), list(needed.values()), sorted(projection.recalls)
    found: dict[str, list[Event]] = {}
    for stream, name, data, position in await reader.fetch(query("earlier_events"), names, versions, types):
        found.setdefault(stream, []).append(decode_data(name, data, position))
    return found


async def changes_of(reader: Reader, projection: AnyProjection, page: Sequence[Any]) -> list[Change]:
    """What a page of the log changes. Raises UnknownEventTypeError and CodecError."""
    if isinstance(projection, OnePerStream):
        return projection.changes_in(page)
    reads = projection.read(page)
    return projection.changes(reads, await load_earlier_events(reader, projection, reads))
