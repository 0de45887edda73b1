"""Runner: applies events to a projection's table, with the cursor transactionally.

Any number of runners may run at once, be killed at any moment, and be given anything twice.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from events.codec import Event, decode_data
from events.envelope import Cursor, Recorded
from ledger.log.reader import LogReader
from ledger.postgres import Connection, Pool, Reader
from ledger.sql import load_queries
from projections.engine import cursors
from projections.engine.projection import AnyProjection, Change, ManyRows, OnePerStream, Read
from projections.engine.tables import Table

query = load_queries("projections.engine")

READ_AS: Final[dict[str, str | None]] = {}
"""Hash of an event that no read model can hold, as hex → data to read instead; None leaves it out.

A person has judged each (docs/runbook.md, ProjectionStopped). Rows stay a function of log and program.
"""


class Runner:
    def __init__(self, pool: Pool, projection: AnyProjection) -> None:
        self._pool = pool
        self.projection = projection

    async def cursor(self) -> Cursor:
        """Place of the active table. Raises ProjectionNotFoundError before `neurocards migrate`."""
        _, cursor = await cursors.where_is(self._pool, self.projection.name)
        return cursor

    async def check(self, cursor: Cursor) -> None:
        """Raise IntegrityError unless the log still holds the place."""
        await LogReader(self._pool).check(cursor)

    async def apply(self, batch: list[Recorded]) -> Cursor:
        """Apply a dense batch; the table's new place: read on from there.

        What is applied already is skipped; a batch that starts too late is not applied. Raises
        UnknownEventTypeError or UnfoldableEventError (nothing is applied), and IntegrityError when the batch
        is not what the log holds.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            return await apply(connection, self.projection, batch)


async def apply(
    connection: Connection, projection: AnyProjection, batch: list[Recorded], version: int | None = None
) -> Cursor:
    """Apply a dense batch to the table in the caller's transaction."""
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
    """Earlier events that the page's cannot be understood without. At most one query. Raises CodecError."""
    needed = projection.needed_earlier(reads)
    if not needed or not isinstance(projection, ManyRows):
        return {}
    names, versions, types = list(needed), list(needed.values()), sorted(projection.recalls)
    found: dict[str, list[Event]] = {}
    rows = await reader.fetch(query("earlier_events"), names, versions, types)
    for stream, name, data, position, event_hash in rows:
        if (meant := READ_AS.get(event_hash, data)) is not None:
            found.setdefault(stream, []).append(decode_data(name, meant, position))
    return found


async def changes_of(reader: Reader, projection: AnyProjection, page: Sequence[Any]) -> list[Change]:
    """Changes of a page. Raises UnknownEventTypeError and CodecError."""
    if READ_AS:
        meant = [(event, READ_AS.get(event.hash.hex(), event.data)) for event in page]
        page = [replace(event, data=data) for event, data in meant if data is not None]
    if isinstance(projection, OnePerStream):
        return projection.changes_in(page)
    reads = projection.read(page)
    return projection.changes(reads, await load_earlier_events(reader, projection, reads))
