"""Cursors of in-order consumers: `(position, hash)` in Postgres.

Exactly-once: lock the row first in the transaction, apply only what follows it, move it last. A second runner
then does nothing twice, and no leader election is needed.
"""

import msgspec

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.hash_chain import follows
from ledger.postgres import Connection, Reader
from ledger.sql import load_queries
from projections.engine.errors import ProjectionNotFoundError

query = load_queries("projections.engine")


class LockedCursor(msgspec.Struct, frozen=True):
    """A consumer's locked place; `fresh` is what to apply of the batch.

    Empty when all was applied before, or the batch starts too late: read on from the place.
    """

    version: int
    cursor: Cursor
    fresh: list[Recorded]


async def register(connection: Reader, name: str) -> None:
    await connection.execute("INSERT INTO cursors (name) VALUES ($1) ON CONFLICT DO NOTHING", name)


async def where_is(connection: Reader, name: str) -> tuple[int, Cursor]:
    """The active version and its place, not locked. Raises ProjectionNotFoundError."""
    row = await connection.fetchrow(query("cursor"), name)
    if row is None:
        raise ProjectionNotFoundError(
            f"there is no cursor {name!r} in the database; run `neurocards migrate`"
        )
    return row["version"], Cursor(row["position"], row["hash"])


async def lock(
    connection: Connection, name: str, batch: list[Recorded], *, version: int | None = None
) -> LockedCursor:
    """Lock the cursor and pick what follows it. Raises IntegrityError unless the log holds `batch`."""
    last = batch[-1].position
    if version is None:
        # While we wait for the row, a rebuild may make another one the active one: then ask once more.
        row = await connection.fetchrow(query("lock_cursor"), name, last)
        row = row or await connection.fetchrow(query("lock_cursor"), name, last)
    else:
        row = await connection.fetchrow(query("lock_version"), name, last, version)
    if row is None:
        raise ProjectionNotFoundError(
            f"there is no cursor {name!r} in the database; run `neurocards migrate`"
        )
    cursor = Cursor(row["position"], row["hash"])
    if row["log_hash"] != batch[-1].hash:
        raise IntegrityError(
            f"{name} was given an event at position {last} that the log does not hold: "
            "the log went back in time; stop and run `neurocards recover`"
        )
    return LockedCursor(row["version"], cursor, _fresh(name, cursor, batch))


async def move(connection: Connection, name: str, version: int, to: Cursor) -> None:
    await connection.execute(query("move_cursor"), name, version, to.position, to.hash)


def _fresh(name: str, cursor: Cursor, batch: list[Recorded]) -> list[Recorded]:
    skipped = cursor.position + 1 - batch[0].position
    if skipped < 0:
        return []
    if 0 < skipped <= len(batch) and batch[skipped - 1].hash != cursor.hash:
        raise IntegrityError(f"{name} has applied another event at position {cursor.position}; rebuild it")
    fresh = batch[skipped:]
    if fresh and not follows(cursor.hash, fresh[0]):
        raise IntegrityError(
            f"the event at position {fresh[0].position} does not follow from the one {name} applied last; "
            "stop and run `neurocards recover`"
        )
    return fresh
