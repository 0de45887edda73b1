"""A rebuild's connections, the lock against a second one, and cleaning up after a cancelled one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from ledger.postgres import READ_WRITE
from ledger.sql import load_queries
from projections.engine.errors import RebuildRunningError
from projections.engine.projection import AnyProjection
from projections.rebuild import shadow_table

if TYPE_CHECKING:
    Plain = asyncpg.Connection[asyncpg.Record]

query = load_queries("projections.rebuild")

_LOCK: Final = 7_300_003
LATE_LOCK: Final = 7_300_006
"""Held by a process that folds the second half, which may outlive a killed rebuild for a moment."""
SETTINGS: Final = {"application_name": "neurocards-rebuild", "timezone": "UTC", "jit": "off"}
_CLEAN_TIMEOUT_S: Final = 20


@dataclass(frozen=True)
class Connections:
    """`work` writes and holds the lock, `log` reads events, `lookups` rows of fresh tables and what events
    recall; `live` asks where the live tables are, and holds them still for a moment.
    """

    work: "Plain"
    log: "Plain"
    lookups: "Plain"
    live: "Plain"


@asynccontextmanager
async def connect(database_url: str, projections: Sequence[AnyProjection]) -> AsyncIterator[Connections]:
    """Connections for a rebuild of these, which nobody else rebuilds meanwhile. Raises
    RebuildRunningError."""
    opened: list[Plain] = []
    try:
        for _ in range(4):
            opened.append(
                await asyncpg.connect(database_url, server_settings=SETTINGS, target_session_attrs=READ_WRITE)
            )
        for projection in projections:
            if not await opened[0].fetchval(
                "SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK, projection.name
            ):
                raise RebuildRunningError(f"another rebuild of {projection.name} is under way; wait for it")
            async with opened[0].transaction():
                if not await opened[0].fetchval(query("try_late_lock"), LATE_LOCK, projection.name):
                    raise RebuildRunningError(f"a rebuild of {projection.name} is just ending; try again")
        yield Connections(*opened)
    finally:
        for connection in reversed(opened):
            await connection.close(timeout=_CLEAN_TIMEOUT_S)


async def forget(database_url: str, projections: Sequence[AnyProjection]) -> None:
    """Drop what a cancelled rebuild has made, unless somebody else rebuilds by now."""
    connection = await asyncpg.connect(
        database_url, server_settings=SETTINGS, target_session_attrs=READ_WRITE
    )
    try:
        for projection in projections:
            locked = "SELECT pg_try_advisory_lock($1, hashtext($2))"
            if await connection.fetchval(locked, _LOCK, projection.name):
                await shadow_table.clean(connection, projection, lock_timeout_s=10)
    finally:
        await connection.close()
