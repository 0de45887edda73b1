"""Folds a read model whose rows are made of many streams' events, page by page, to compare it with its table.

That needs the log from its start: where the walk begins later, such a read model is not compared.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from events.envelope import Cursor, Recorded
from events.errors import CodecError
from projections.errors import ProjectionError
from projections.problems import Findings
from projections.projection import ManyRows, Read
from projections.recall import recall
from projections.tables import Table
from projections.verify.differing import Differing
from projections.verify.sql import query

if TYPE_CHECKING:
    from projections.tables import Connection

PAGE = 1000


class ManyRowsModel:
    """One read model: its rows as they follow from the log so far."""

    def __init__(self, projection: ManyRows[Any], version: int, cursor: Cursor) -> None:
        self.projection = projection
        self.table = Table(projection, version)
        self.cursor = cursor
        self._rows: dict[str, Any] = {}
        self._followed = True
        self._differing = Differing(projection.name)

    async def take(self, connection: "Connection", reads: Sequence[Read], findings: Findings) -> None:
        """The next events, all that could be decoded. What cannot be folded ends the comparison."""
        mine = [read for read in reads if self.projection.concerns(read.recorded)] if self._followed else []
        try:
            earlier = await recall(connection, self.projection, mine)
            self.projection.fold(self._rows, self.projection.changes(mine, earlier))
        except (CodecError, ProjectionError) as error:
            self.breaks()
            position = mine[-1].recorded.position
            findings.add("projection", position, f"{self.projection.name} cannot be folded: {error}")

    def breaks(self) -> None:
        """An event that matters cannot be read: what the rows should be is not known."""
        self._followed = False
        self._rows.clear()

    async def finish(self, connection: "Connection", findings: Findings) -> None:
        """The walk is where the table is: compare."""
        if not self._followed:
            return
        keys = list(self._rows)
        stored = 0
        for begin in range(0, len(keys), PAGE):
            some = keys[begin : begin + PAGE]
            found = await self.table.load(connection, some)
            stored += len(found)
            for key in some:
                if found.get(key) != self._rows[key]:
                    self._differing.add(key)
        await self._extra(connection, stored)
        self._differing.tell(self.cursor.position, findings)

    async def _extra(self, connection: "Connection", stored: int) -> None:
        """Rows of the table that no event has made; not looked for when there are as many as were seen."""
        if await connection.fetchval(query("count_rows").format(table=self.table.name)) == stored:
            return
        key = self.projection.columns[0]
        async for row in self.table.scan(connection):
            if getattr(row, key) not in self._rows:
                self._differing.add(getattr(row, key))


def as_recorded(row: Any) -> Recorded:
    """What a fold may look at of a row; the rest is left empty."""
    position, stream, version, name, data, time_us = row
    return Recorded(position, stream, version, name, data, None, None, None, time_us, b"")
