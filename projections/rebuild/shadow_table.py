"""Shadow table: a projection's next version, made, indexed, swapped or dropped."""

from typing import Final

import asyncpg
import msgspec
import structlog

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.store import hash_at
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine import cursors
from projections.engine.projection import AnyProjection
from projections.engine.tables import Table

query = load_queries("projections.rebuild")

logger = structlog.get_logger()

LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '100ms'"


class ResumePoint(msgspec.Struct, frozen=True):
    table: Table
    reached: Cursor


async def create(connection: Connection, projection: AnyProjection) -> ResumePoint:
    """Create an empty next version, with its cursor at the beginning. Raises ProjectionNotFoundError."""
    await cursors.where_is(connection, projection.name)
    newest = await connection.fetchval(query("newest_version"), projection.name)
    fresh = Table(projection, newest + 1)
    async with connection.transaction():
        await fresh.create(connection)
        await connection.execute(query("add_version"), projection.name, fresh.version)
    return ResumePoint(fresh, GENESIS)


async def left_over(connection: Connection, projection: AnyProjection) -> ResumePoint | None:
    """Resumable table of a killed rebuild; other versions are dropped.

    Its cursor must be in the log, and not ahead of the live table. A version older than the live one was
    swapped out, and still has readers.
    """
    active, live = await cursors.where_is(connection, projection.name)
    found: ResumePoint | None = None
    for row in await connection.fetch(query("versions"), projection.name):
        reached = Cursor(row["position"], row["hash"])
        in_log = reached == GENESIS or await hash_at(connection, reached.position) == reached.hash
        if row["version"] > active and in_log and reached.position <= live.position:
            found = ResumePoint(Table(projection, row["version"]), reached)
    await clean(connection, projection, keep=found.table.version if found else 0)
    if found is not None:
        for index in await connection.fetch(query("indexes_of"), found.table.name):
            await connection.execute(f"DROP INDEX {index['name']}")
    return found


async def swap_in(connection: Connection, table: Table, retired: int) -> None:
    await table.show(connection)
    await connection.execute(query("retire_version"), table.projection.name, retired)
    await connection.execute(query("activate_version"), table.projection.name, table.version)


async def clean(
    connection: Connection, projection: AnyProjection, *, keep: int = 0, lock_timeout_s: float = 0.1
) -> None:
    """Drop unread versions; one a long reader holds stays until the next."""
    for row in await connection.fetch(query("versions"), projection.name):
        if row["version"] == keep:
            continue
        table = Table(projection, row["version"])
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {int(lock_timeout_s * 1000)}")
                await connection.execute(query("drop_version").format(table=table.name))
                await connection.execute(query("forget_version"), projection.name, table.version)
        except asyncpg.LockNotAvailableError:
            logger.info("old_version_kept", table=table.name, reason="a long query still reads it")
