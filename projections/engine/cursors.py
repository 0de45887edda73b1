"""Where an in-order consumer is: `(position, hash)` in Postgres, written with its effects.

Used by the projections and by every other consumer that applies the log in order. Lock the row first in the
transaction, apply only what follows it, and move it last: whoever runs twice then does nothing twice, and no
leader has to be elected.
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
    """A consumer's place, locked. `fresh` is what of the batch is to be applied; empty when nothing is.

    Nothing is when all of it was applied before, or when it starts later than the place: read on from there.
    """

    version: int
    cursor: Cursor
    fresh: list[Recorded]


async def register(connection: Reader, name: str) -> None:
    """Make the consumer's row, at the log's beginning, unless it has one."""
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
    """Lock the place of the active version (or of `version`) and pick what of `batch` follows it.

    Raises IntegrityError when the batch is not what the log holds, or does not follow from what was applied.
    """
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
    """Everything up to `to` is applied."""
    await connection.execute(query("move_cursor"), name, version, to.position, to.hash)


def _fresh(name: str, cursor: Cursor, batch: list[Recorded]) -> list[Recorded]:
    """What of the dense batch comes after the cursor, if it comes right after it."""
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
