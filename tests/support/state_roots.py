"""The root of what a projection's view shows, to hold against the rebuilt one."""

from typing import Any

from ledger.postgres import Pool
from projections.engine import cursors
from projections.engine.registry import projection as projection_of
from projections.engine.state_root import StateRoot, root_of_table
from projections.engine.tables import Table


async def state_root(pool: Pool, name: str) -> StateRoot:
    """The root of what a projection's view shows, read in one snapshot. Raises ProjectionNotFoundError."""
    projection = projection_of(name)
    snapshot: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
    async with pool.acquire() as connection, connection.transaction(**snapshot):
        version, cursor = await cursors.where_is(connection, name)
        digest = await root_of_table(connection, Table(projection, version))
        return StateRoot(name, version, cursor, digest.rows, digest.hexdigest())
