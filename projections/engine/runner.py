"""Applies events to a projection's table: rows and cursor in one transaction.

Any number of runners may run at once, be killed at any moment, and be given anything twice.
"""

from typing import TYPE_CHECKING

from events.envelope import Cursor, Recorded
from ledger.log.ledger import LogReader
from ledger.postgres import Pool
from projections.engine import cursors
from projections.engine.lookback import changes_of
from projections.engine.projection import AnyProjection
from projections.engine.tables import Table

if TYPE_CHECKING:
    from ledger.postgres import Connection


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
    connection: "Connection", projection: AnyProjection, batch: list[Recorded], version: int | None = None
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
