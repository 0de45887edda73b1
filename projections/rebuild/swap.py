"""Swap of a rebuilt table behind the view, compared at one position.

meeting   the live cursor is locked, so the live table stands still; the fresh one catches up (at most a few
          pages) and commits; a snapshot is taken that sees both; the lock goes. What is compared in the
          snapshot is the same position, whatever the live table does meanwhile.
swap      what came since is applied; then in one transaction: the live cursor is locked, the rest is
          applied, the view shows the fresh table, and the fresh cursor is the active one.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine import cursors
from projections.engine.errors import SwapTimeoutError
from projections.engine.runner import apply
from projections.engine.tables import Table
from projections.rebuild import shadow_table
from projections.rebuild.fill import Source, pages

query = load_queries("ledger.checkpoints")
engine_query = load_queries("projections.engine")

_SNAPSHOT: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}


@dataclass(frozen=True)
class Connections:
    """Connections of a rebuild, by use.

    `work` writes and holds the lock, `log` reads events, `lookups` rows of fresh tables and what events
    recall; `live` reads the live tables' places, and locks them for a moment.
    """

    work: Connection
    log: Connection
    lookups: Connection
    live: Connection


async def goal(connection: Connection, name: str, *, from_log: bool) -> Cursor:
    """Target of a fresh table: the live one's place, or `from_log` the head."""
    if not from_log:
        return (await cursors.where_is(connection, name))[1]
    row = await connection.fetchrow(query("signing_head"))
    assert row is not None
    return Cursor(row["position"], row["hash"])


class Swapper:
    def __init__(
        self, to: Connections, source: Source, table: Table, reached: Cursor, *, from_log: bool
    ) -> None:
        self._to = to
        self._from_log = from_log
        self._source = source
        self._table = table
        self._name = table.projection.name
        self._reached = reached

    @asynccontextmanager
    async def meeting(self) -> AsyncIterator[Cursor]:
        """Snapshot for `log` and `lookups` with both tables at this place."""
        await self._advance()
        async with AsyncExitStack() as stack:
            async with self._to.live.transaction():
                await self._lock(self._to.live)
                await self._advance()
                await stack.enter_async_context(self._to.lookups.transaction(**_SNAPSHOT))
                snapshot = await self._to.lookups.fetchval("SELECT pg_export_snapshot()")
                await stack.enter_async_context(self._to.log.transaction(**_SNAPSHOT))
                await self._to.log.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            yield self._reached

    async def _lock(self, connection: Connection) -> int:
        """The live version, whose table stands still until the transaction ends."""
        row = await connection.fetchrow(engine_query("lock_cursor"), self._name, 0)
        assert row is not None  # we hold the rebuild's lock, so nobody else changes the active version
        return int(row["version"])

    async def _advance(self) -> None:
        target = await goal(self._to.work, self._name, from_log=self._from_log)
        async for page in pages(self._source, self._reached, target.position):
            async with self._to.work.transaction():
                await self._to.work.execute("SET LOCAL synchronous_commit = off")
                await self._apply(page)
        self._require(target)

    async def _apply(self, page: list[Recorded]) -> None:
        await apply(self._to.work, self._table.projection, page, self._table.version)
        self._reached = page[-1].cursor

    def _require(self, target: Cursor) -> None:
        if self._reached != target:
            raise IntegrityError(
                f"{self._name} has applied another event at position {target.position} than the log holds: "
                "the log went back in time; run `neurocards recover`"
            )

    async def swap(self, timeout_s: float) -> None:
        """Apply the rest and swap the view, in one transaction.

        A long reader keeps the view locked, and waiting would block all others behind us: give up quickly and
        retry.
        """
        give_up_at = time.monotonic() + timeout_s
        pause_s = 0.2
        while True:
            await self._advance()
            reached = self._reached
            try:
                async with self._to.work.transaction():
                    await self._swap_once()
                return
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                self._reached = reached
                if time.monotonic() > give_up_at:
                    raise SwapTimeoutError(
                        f"the view {self._name} was in use for {timeout_s:g} s; nothing was changed, "
                        "try again when no long query reads it"
                    ) from None
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.5, 2.0)

    async def _swap_once(self) -> None:
        await self._to.work.execute(shadow_table.LOCK_TIMEOUT)
        version = await self._lock(self._to.work)  # nobody moves the live table on from here
        target = await goal(self._to.work, self._name, from_log=self._from_log)
        async for page in pages(self._source, self._reached, target.position):
            await self._apply(page)
        self._require(target)
        await shadow_table.swap_in(self._to.work, self._table, version)
