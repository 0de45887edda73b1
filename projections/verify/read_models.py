"""The walk that folds every read model anew, to compare it row by row with its table at its cursor.

A job's row is compared and forgotten when the job has ended; should an event come later, the row is folded
again from its stream. Accounts' rows are kept to the end, and rows of many events (`many_rows`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from events.envelope import Cursor, Recorded
from events.errors import CodecError
from ledger.sql import load_queries
from projections.engine.errors import ProjectionError
from projections.engine.lookback import load_earlier_events
from projections.engine.projection import ManyRows, Read
from projections.engine.tables import Table
from projections.verify.findings import Differing, Findings

if TYPE_CHECKING:
    from ledger.postgres import Connection
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from events.codec import DECODE, decode
from projections.engine.projection import AnyProjection, OnePerStream
from projections.verify.hash_chain import Progress

if TYPE_CHECKING:
    from ledger.postgres import Connection

query = load_queries("projections.verify")

# Folds a read model whose rows are made of many streams' events, page by page, to compare it with its table.
#
# That needs the log from its start: where the walk begins later, such a read model is not compared.


PAGE_STREAMS = 1000


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
            earlier = await load_earlier_events(connection, self.projection, mine)
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
        for begin in range(0, len(keys), PAGE_STREAMS):
            some = keys[begin : begin + PAGE_STREAMS]
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


PAGE = 1000
_AT_ONCE = 1000
_KIND_CHARS = 4
"""So many characters of a stream's name tell its kind."""
_ENDS = frozenset({"JobSucceeded", "JobFailed"})


class Model:
    """One read model with a row per stream: rows folded and not compared yet."""

    def __init__(self, projection: OnePerStream[Any], version: int, cursor: Cursor, *, whole: bool) -> None:
        self.projection = projection
        self.table = Table(projection, version)
        self.cursor = cursor
        self.rows: dict[str, Any] = {}
        self._whole = whole
        self.over: set[str] = set()
        self._broken: set[str] = set()
        self._loaded: set[str] = set()
        self.late: list[Recorded] = []
        self._ahead: set[str] = set()
        self._seen = 0
        self._differing = Differing(projection.name)

    def admits(self, recorded: Recorded, key: str) -> bool:
        """Whether an event of a row that is not in memory can be folded now; else it is kept in `late`."""
        if key in self._broken:
            return False
        if recorded.version == 1 or key in self._loaded:
            return True
        self.late.append(recorded)
        return False

    def breaks(self, key: str) -> None:
        """An event that cannot be read or folded: what its row should be is not known."""
        self._broken.add(key)
        self.rows.pop(key, None)

    async def take_late(self, connection: "Connection", fold: Callable[[list[Recorded]], object]) -> None:
        """Fold what came for rows that are not in memory, after what came before in their streams."""
        late, self.late = self.late, []
        if late:
            streams = list({recorded.stream for recorded in late})
            found = await connection.fetch(query("streams_before"), streams, late[0].position)
            self._loaded = {str(self.projection.key_of(recorded)) for recorded in late}
            fold([as_recorded(row) for row in found])
            fold(late)
            self._loaded = set()

    async def forget(self, connection: "Connection") -> None:
        """Compare the rows that nothing more is expected for, and drop them; many at once."""
        if len(self.over) < _AT_ONCE:
            return
        over = {key: self.rows.pop(key) for key in self.over if key in self.rows}
        self.over.clear()
        await self._compare(connection, over)

    async def finish(self, connection: "Connection", findings: Findings) -> None:
        """The walk is where the table is: compare the rest, and look for rows the log knows nothing of."""
        keys = list(self.rows)
        for begin in range(0, len(keys), PAGE):
            some = {key: self.rows.pop(key) for key in keys[begin : begin + PAGE]}
            await self._compare(connection, some)
        for key in self._ahead:
            self._differing.add(key)
        if self._whole:
            await self._extra(connection)
        self._differing.tell(self.cursor.position, findings)

    async def _compare(self, connection: "Connection", expected: dict[str, Any]) -> None:
        if not expected:
            return
        stored = await self.table.load(connection, expected)
        for key, row in expected.items():
            found = stored.get(key)
            self._seen += found is not None and key not in self._ahead
            if key in self._broken or found == row:
                self._ahead.discard(key)
            elif found is not None and found.position > row.position and key not in self._ahead:
                self._ahead.add(key)  # it has seen a later event of this job, which we have not yet
            elif found is None or found.position <= row.position:
                self._differing.add(key)

    async def _extra(self, connection: "Connection") -> None:
        """Rows of the table that no event has made; not looked for when there are as many as were seen."""
        if await connection.fetchval(query("count_rows").format(table=self.table.name)) == self._seen:
            return
        prefix = f"{self.projection.columns[0]}-"
        sql = query("extra_rows").format(table=self.table.name, key=self.projection.columns[0])
        for row in await connection.fetch(sql, prefix, self.cursor.position):
            self._differing.add(row[0])


AnyModel = Model | ManyRowsModel


class Walk:
    """Goes through the log for all models, each until its cursor."""

    def __init__(self, models: Sequence[AnyModel], findings: Findings) -> None:
        self._waiting = sorted(models, key=lambda model: model.cursor.position)
        self._findings = findings
        self._routes: dict[tuple[str, str], list[tuple[Model, int]]] = {}

    async def run(self, connection: "Connection", after: int, progress: Progress) -> None:
        """All rows after a position, in the caller's snapshot; every model is compared."""
        for model in self._waiting:
            # Keeps a rebuild from dropping the table while the walk goes on.
            await connection.execute(f"LOCK TABLE {model.table.name} IN ACCESS SHARE MODE")
        cursor = await connection.cursor(query("models"), after)
        while page := await cursor.fetch(PAGE):
            rows = [as_recorded(row) for row in page]
            while self._waiting and self._waiting[0].cursor.position < rows[-1].position:
                stop = self._waiting[0].cursor.position
                done = [row for row in rows if row.position <= stop]
                await self._take(connection, done)
                rows = rows[len(done) :]
                await self._finish_first(connection)
            await self._take(connection, rows)
            for model in self._waiting:
                if isinstance(model, Model):
                    await model.take_late(connection, self._folding(model))
                    await model.forget(connection)
            progress("models", page[-1][0])
        while self._waiting:
            await self._finish_first(connection)

    async def _take(self, connection: "Connection", rows: list[Recorded]) -> None:
        reads = self._fold(rows)
        for model in self._waiting:
            if isinstance(model, ManyRowsModel):
                await model.take(connection, reads, self._findings)

    async def _finish_first(self, connection: "Connection") -> None:
        model = self._waiting.pop(0)
        if isinstance(model, Model):
            await model.take_late(connection, self._folding(model))
        await model.finish(connection, self._findings)
        self._routes.clear()

    def _folding(self, model: Model) -> Callable[[list[Recorded]], object]:
        """Folds events into one model alone."""
        return Walk([model], self._findings)._fold

    def _fold(self, rows: list[Recorded]) -> list[Read]:
        """The hot loop: everything here is paid for each event. What could be decoded is given back."""
        routes = self._routes
        reads: list[Read] = []
        for recorded in rows:
            name, stream = recorded.type, recorded.stream
            route = routes.get((stream[:_KIND_CHARS], name))
            if route is None:
                route = self._route(recorded)
            decoder = DECODE.get(name)
            try:
                event = decoder(recorded.data) if decoder is not None else decode(recorded)
            except (CodecError, msgspec.DecodeError, UnicodeError) as error:
                self._unreadable(recorded, error, route)
                continue
            reads.append(Read(recorded, event))
            for model, skip in route:
                key = stream[skip:]
                row = model.rows.get(key)
                if row is None and not model.admits(recorded, key):
                    continue
                try:
                    model.rows[key] = model.projection.evolve(row, recorded, event)
                except ProjectionError as error:
                    model.breaks(key)
                    message = f"{model.projection.name} cannot hold {key}: {error}"
                    self._findings.add("projection", recorded.position, message)
                if name in _ENDS:
                    model.over.add(key)
        return reads

    def _unreadable(self, recorded: Recorded, error: Exception, route: list[tuple[Model, int]]) -> None:
        message = f"{recorded.type} at position {recorded.position} cannot be read: {error}"
        self._findings.add("unreadable", recorded.position, message)
        for model, skip in route:
            model.breaks(recorded.stream[skip:])
        for other in self._waiting:
            if isinstance(other, ManyRowsModel) and other.projection.concerns(recorded):
                other.breaks()

    def _route(self, recorded: Recorded) -> list[tuple[Model, int]]:
        """The models such an event matters to, each with how much of a stream's name is not its row's key."""
        found = []
        for model in self._waiting:
            key = model.projection.key_of(recorded) if isinstance(model, Model) else None
            if key is not None and isinstance(model, Model):
                found.append((model, len(recorded.stream) - len(key)))
        self._routes[recorded.stream[:_KIND_CHARS], recorded.type] = found
        return found


def model_of(projection: AnyProjection, version: int, cursor: Cursor, *, whole: bool) -> AnyModel | None:
    """What follows the read model through the log; None when it can only be followed from the log's start."""
    match projection:
        case OnePerStream():
            return Model(projection, version, cursor, whole=whole)
        case ManyRows():
            return ManyRowsModel(projection, version, cursor) if whole else None
        case _:
            raise TypeError(f"{type(projection).__name__} has no way to be verified")
