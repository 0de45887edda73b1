"""Bulk fill of a fresh table from pages, in bounded memory.

Rows are folded in memory in two generations: `young` were changed since the last write, `old` are as the
table has them. A write takes the young ones and the cursor in one transaction, while folding goes on; then
the young are the old, and the old are dropped. A row changed after that is read back. So at every moment the
table is what the log says up to its cursor, and a killed fill can be resumed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import asyncpg

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.hash_chain import require_sequence
from ledger.postgres import READ_WRITE, Connection
from ledger.sql import load_queries
from projections.engine import cursors
from projections.engine.projection import Change
from projections.engine.runner import changes_of
from projections.engine.tables import Table

ledger_query = load_queries("ledger.log")

PAGE_EVENTS = 2000
ROWS_MAX = 20_000
"""So many changed rows are written; memory holds twice as many, three times while they are being written."""
EVENTS_MAX = 500_000
"""What is done again at most after a crash."""
_CLOSE_TIMEOUT_S: Final = 20

Progress = Callable[[int, int], None]
"""Called with the events done, as a position, and the position aimed at."""


@asynccontextmanager
async def connected(
    database_url: str, application: str
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    settings = {"application_name": application, "timezone": "UTC", "jit": "off"}
    connection = await asyncpg.connect(
        database_url, server_settings=settings, target_session_attrs=READ_WRITE
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=_CLOSE_TIMEOUT_S)


class Source(Protocol):
    async def page(self, after: Cursor, limit: int) -> list[Recorded]:
        """Up to `limit` chained events after the cursor. Raises IntegrityError."""


class LogSource:
    """The log, over an exclusively used connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def page(self, after: Cursor, limit: int) -> list[Recorded]:
        rows = await self._connection.fetch(ledger_query("events_after"), after.position, limit)
        events = [Recorded(*row) for row in rows]
        require_sequence(after, events)
        return events


async def pages(source: Source, after: Cursor, up_to: int) -> AsyncIterator[list[Recorded]]:
    """Prefetched pages after a cursor up to a position. Raises IntegrityError at an early end."""
    reading = asyncio.ensure_future(_page(source, after, up_to))
    try:
        while after.position < up_to:
            page = await reading
            after = page[-1].cursor
            if after.position < up_to:
                reading = asyncio.ensure_future(_page(source, after, up_to))
                await asyncio.sleep(0)  # lets it ask before we are busy
            yield page
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _page(source: Source, after: Cursor, up_to: int) -> list[Recorded]:
    if after.position >= up_to:
        return []
    found = await source.page(after, min(PAGE_EVENTS, up_to - after.position))
    if not found:
        raise IntegrityError(f"the log ends at {after.position}, before {up_to}, which was seen before")
    return found


class Writer:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = asyncio.Lock()

    async def write(self, table: Table, made: Sequence[Any], changed: Sequence[Any], to: Cursor) -> None:
        async with self._lock, self.connection.transaction():
            # Lost in a crash together with the cursor; the swap's own commit makes it durable.
            await self.connection.execute("SET LOCAL synchronous_commit = off")
            await table.insert(self.connection, made)
            await table.store(self.connection, changed)
            if table.version:
                await cursors.move(self.connection, table.projection.name, table.version, to)


class Filling:
    """One table being filled. `lookups` is read between two pages, `writer` is shared."""

    def __init__(self, table: Table, reached: Cursor, lookups: Connection, writer: Writer) -> None:
        self.table = table
        self.reached = reached
        self._lookups = lookups
        self._writer = writer
        self._young: dict[str, Any] = {}
        self._old: dict[str, Any] = {}
        self._absent: set[str] = set()
        self._events = 0
        self._writing: asyncio.Task[None] | None = None

    async def take(self, page: Sequence[Recorded]) -> None:
        """Fold a page, which follows the last. Raises what folding raises."""
        if page[0].position <= self.reached.position:
            page = page[self.reached.position - page[0].position + 1 :]
        if not page:
            return
        changes = await changes_of(self._lookups, self.table.projection, page)
        begin = 0
        while (begin := self._fold(changes, begin)) < len(changes):
            await self._load(changes[begin:])
        self._absent.clear()
        self.reached = page[-1].cursor
        self._events += len(page)
        if len(self._young) >= ROWS_MAX or self._events >= EVENTS_MAX:
            await self._write()

    def _fold(self, changes: list[Change], begin: int) -> int:
        """Fold from `begin` up to a row to be read first; its index."""
        young, old, absent = self._young, self._old, self._absent
        evolve, begins = self.table.projection.evolve, self.table.projection.begins
        for index in range(begin, len(changes)):
            key, recorded, what = changes[index]
            row = young.get(key)
            if row is None:
                row = old.get(key)
                if row is None and not begins(recorded) and key not in absent:
                    return index
            young[key] = evolve(row, recorded, what)
        return len(changes)

    async def _load(self, changes: list[Change]) -> None:
        keys = {key for key, _, _ in changes} - self._young.keys() - self._old.keys()
        found = await self.table.load(self._lookups, keys)
        self._old |= found
        self._absent |= keys - found.keys()

    async def finish(self) -> None:
        await self._write()
        await self._settle()

    async def _write(self) -> None:
        await self._settle()
        young, old = self._young, self._old
        made = [row for key, row in young.items() if key not in old]
        changed = [row for key, row in young.items() if key in old]
        self._old, self._young, self._events = young, {}, 0
        self._writing = asyncio.create_task(self._writer.write(self.table, made, changed, self.reached))
        await asyncio.sleep(0)  # lets it begin before we are busy
        if self._writer.connection is self._lookups:
            await self._settle()

    async def _settle(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def stop(self) -> None:
        """Cancel a pending write; nothing of it stays."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)


async def fill(
    fillings: Sequence[Filling], source: Source, after: Cursor, up_to: int, progress: Progress
) -> None:
    async for page in pages(source, after, up_to):
        for filling in fillings:
            await filling.take(page)
        progress(page[-1].position, up_to)
