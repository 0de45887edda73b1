"""Fills a fresh table from pages of the log, faster than row by row and in bounded memory.

Rows are folded in memory and written in bulk. There are two generations: `young` rows were changed since the
last write, `old` ones are as the table has them. A write takes the young ones and the cursor in one
transaction, and while it runs folding goes on; then the young are the old, and the old are forgotten. A row
that is changed after that is read back from the table.

So the table is at every moment what the log says up to its cursor, and whoever is killed can be resumed.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from events.envelope import Cursor, Recorded
from projections.engine import cursors
from projections.engine.lookback import changes_of
from projections.engine.projection import AnyProjection, Change
from projections.engine.tables import Table

if TYPE_CHECKING:
    from ledger.postgres import Connection

ROWS_MAX = 20_000
"""So many changed rows are written; memory holds twice as many, three times while they are being written."""
EVENTS_MAX = 500_000
"""What is done again at most after a crash."""


class Writer:
    """One connection that several tables are written over, one after the other."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self._lock = asyncio.Lock()

    async def write(self, table: Table, made: Sequence[Any], changed: Sequence[Any], to: Cursor) -> None:
        """New rows, changed rows and the cursor."""
        async with self._lock, self.connection.transaction():
            # Lost in a crash together with the cursor; the swap's own commit makes it durable.
            await self.connection.execute("SET LOCAL synchronous_commit = off")
            await self._write(table, made, changed, to)

    async def _write(self, table: Table, made: Sequence[Any], changed: Sequence[Any], to: Cursor) -> None:
        await table.insert(self.connection, made)
        await table.store(self.connection, changed)
        if table.version:
            await cursors.move(self.connection, table.projection.name, table.version, to)


class Filling:
    """One table being filled. `lookups` is read from only between two pages, `writer` is shared."""

    def __init__(self, table: Table, reached: Cursor, lookups: "Connection", writer: Writer) -> None:
        self.table = table
        self.reached = reached
        self._projection: AnyProjection = table.projection
        self._lookups = lookups
        self._writer = writer
        self._young: dict[str, Any] = {}
        self._old: dict[str, Any] = {}
        self._absent: set[str] = set()
        self._events = 0
        self._writing: asyncio.Task[None] | None = None

    async def take(self, page: Sequence[Recorded]) -> None:
        """Fold a page, which follows what was taken before. Raises what folding raises."""
        if page[0].position <= self.reached.position:
            page = page[self.reached.position - page[0].position + 1 :]
        if not page:
            return
        changes = await changes_of(self._lookups, self._projection, page)
        begin = 0
        while (begin := self._fold(changes, begin)) < len(changes):
            await self._load(changes[begin:])
        self._absent.clear()
        self.reached = page[-1].cursor
        self._events += len(page)
        if len(self._young) >= ROWS_MAX or self._events >= EVENTS_MAX:
            await self._write()

    def _fold(self, changes: list[Change], begin: int) -> int:
        """Fold from `begin` on, up to a row that has to be read first; where that is."""
        young, old, absent = self._young, self._old, self._absent
        evolve, begins = self._projection.evolve, self._projection.begins
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
        """Read the rows of these changes that were forgotten, or never were."""
        keys = {key for key, _, _ in changes} - self._young.keys() - self._old.keys()
        found = await self._read_back(keys, self.reached.position + 1)
        self._old |= found
        self._absent |= keys - found.keys()

    async def _read_back(self, keys: set[str], before: int) -> dict[str, Any]:
        """What there is of these rows, as of the events before a position."""
        del before
        return await self.table.load(self._lookups, keys)

    async def finish(self) -> None:
        """Write everything."""
        await self._write()
        await self.settle()

    async def _write(self) -> None:
        await self.settle()
        young, old = self._young, self._old
        made = [row for key, row in young.items() if key not in old]
        changed = [row for key, row in young.items() if key in old]
        self._old, self._young, self._events = young, {}, 0
        self._writing = asyncio.create_task(self._writer.write(self.table, made, changed, self.reached))
        await asyncio.sleep(0)  # lets it begin before we are busy
        if self._writer.connection is self._lookups:
            await self.settle()

    async def settle(self) -> None:
        """Wait for a write that is under way. Raises what it raised."""
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def jump(self, connection: "Connection", to: Cursor) -> None:
        """Somebody else has brought the finished table further, in the caller's transaction."""
        await cursors.move(connection, self._projection.name, self.table.version, to)
        self._old, self.reached = {}, to

    async def stop(self) -> None:
        """End a write that is under way; nothing of it stays."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
