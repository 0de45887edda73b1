"""Read model walk: folds each anew, compares rows at its cursor.

A job's row is compared and forgotten when the job has ended; for a later event it is folded again from its
stream. Accounts' rows and rows of many streams' events are kept to the end: the latter need the log from its
start, and are not compared where the walk begins later.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from events.codec import DECODE, decode
from events.envelope import Cursor, Recorded
from events.errors import CodecError
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine.errors import ProjectionError
from projections.engine.projection import AnyProjection, ManyRows, OnePerStream, Read
from projections.engine.runner import load_earlier_events
from projections.engine.tables import Table
from projections.verify.findings import Findings
from projections.verify.hash_chain import Progress

query = load_queries("projections.verify")

PAGE = 1000
_AT_ONCE = 1000
KEYS_SHOWN = 5
_KIND_CHARS = 4
"""So many characters of a stream's name tell its kind."""
_ENDS = frozenset({"JobSucceeded", "JobFailed"})


def as_recorded(row: Any) -> Recorded:
    """The fields a fold may look at; the rest is empty."""
    position, stream, version, name, data, time_us = row
    return Recorded(position, stream, version, name, data, None, None, None, None, time_us, b"")


class _Compared:
    def __init__(self, projection: AnyProjection, version: int, cursor: Cursor) -> None:
        self.table = Table(projection, version)
        self.cursor = cursor
        self._shown: list[str] = []
        self._count = 0

    def _differs(self, key: str) -> None:
        self._count += 1
        if len(self._shown) < KEYS_SHOWN:
            self._shown.append(key)

    def _tell(self, findings: Findings) -> None:
        if self._count:
            keys = ", ".join(self._shown) + (", …" if self._count > KEYS_SHOWN else "")
            at, name = self.cursor.position, self.table.projection.name
            message = f"{name} differs from the log at position {at} in {self._count} rows: {keys}"
            findings.add("projection", at, message)

    async def _has_rows(self, connection: Connection, count: int) -> bool:
        found = await connection.fetchval(query("count_rows").format(table=self.table.name))
        return bool(found == count)


class ManyRowsModel(_Compared):
    """Read model of many streams' events: its rows so far."""

    def __init__(self, projection: ManyRows[Any], version: int, cursor: Cursor) -> None:
        super().__init__(projection, version, cursor)
        self.projection = projection
        self._rows: dict[str, Any] = {}
        self._followed = True

    async def take(self, connection: Connection, reads: Sequence[Read], findings: Findings) -> None:
        """Fold the next decoded events. A failure ends the comparison."""
        mine = [read for read in reads if self.projection.concerns(read.recorded)] if self._followed else []
        try:
            earlier = await load_earlier_events(connection, self.projection, mine)
            self.projection.fold(self._rows, self.projection.changes(mine, earlier))
        except (CodecError, ProjectionError) as error:
            self.breaks()
            position = mine[-1].recorded.position
            findings.add("projection", position, f"{self.projection.name} cannot be folded: {error}")

    def breaks(self) -> None:
        """An event that matters cannot be read: the rows are unknown."""
        self._followed = False
        self._rows.clear()

    async def finish(self, connection: Connection, findings: Findings) -> None:
        if not self._followed:
            return
        stored = 0
        for keys in _paged(self._rows):
            found = await self.table.load(connection, keys)
            stored += len(found)
            for key in keys:
                if found.get(key) != self._rows[key]:
                    self._differs(key)
        if not await self._has_rows(connection, stored):  # some are there that no event has made
            key_column = self.projection.columns[0]
            async for row in self.table.scan(connection):
                if (key := getattr(row, key_column)) not in self._rows:
                    self._differs(key)
        self._tell(findings)


class StreamModel(_Compared):
    """Read model with a row per stream: rows not compared yet."""

    def __init__(self, projection: OnePerStream[Any], version: int, cursor: Cursor, *, whole: bool) -> None:
        super().__init__(projection, version, cursor)
        self.projection = projection
        self.rows: dict[str, Any] = {}
        self.over: set[str] = set()
        self.late: list[Recorded] = []
        self._whole = whole
        self._broken: set[str] = set()
        self._loaded: set[str] = set()
        self._ahead: set[str] = set()
        self._seen = 0

    def admits(self, recorded: Recorded, key: str) -> bool:
        """Whether a row not in memory can take the event; else `late`."""
        if key in self._broken:
            return False
        if recorded.version == 1 or key in self._loaded:
            return True
        self.late.append(recorded)
        return False

    def breaks(self, key: str) -> None:
        self._broken.add(key)
        self.rows.pop(key, None)

    async def take_late(self, connection: Connection, fold: Callable[[list[Recorded]], object]) -> None:
        """Fold late events after what came before in their streams."""
        late, self.late = self.late, []
        if late:
            streams = list({recorded.stream for recorded in late})
            found = await connection.fetch(query("streams_before"), streams, late[0].position)
            self._loaded = {str(self.projection.key_of(recorded)) for recorded in late}
            fold([as_recorded(row) for row in found])
            fold(late)
            self._loaded = set()

    async def forget(self, connection: Connection) -> None:
        if len(self.over) >= _AT_ONCE:
            await self._compare(connection, [key for key in self.over if key in self.rows])
            self.over.clear()

    async def finish(self, connection: Connection, findings: Findings) -> None:
        """Compare the rest, and look for rows the log knows nothing of."""
        for keys in _paged(list(self.rows)):
            await self._compare(connection, keys)
        for key in self._ahead:
            self._differs(key)
        if self._whole and not await self._has_rows(connection, self._seen):
            key_column = self.projection.columns[0]
            sql = query("extra_rows").format(table=self.table.name, key=key_column)
            for row in await connection.fetch(sql, f"{key_column}-", self.cursor.position):
                self._differs(row[0])
        self._tell(findings)

    async def _compare(self, connection: Connection, keys: list[str]) -> None:
        stored = await self.table.load(connection, keys) if keys else {}
        for key in keys:
            row, found = self.rows.pop(key), stored.get(key)
            self._seen += found is not None and key not in self._ahead
            if key in self._broken or found == row:
                self._ahead.discard(key)
            elif found is not None and found.position > row.position and key not in self._ahead:
                self._ahead.add(key)  # it has seen a later event of this job, which we have not yet
            elif found is None or found.position <= row.position:
                self._differs(key)


def _paged(keys: Iterable[str]) -> Iterable[list[str]]:
    remaining = iter(keys)
    while page := list(islice(remaining, PAGE)):
        yield page


AnyModel = StreamModel | ManyRowsModel


class Walk:
    def __init__(self, models: Sequence[AnyModel], findings: Findings) -> None:
        self._waiting = sorted(models, key=lambda model: model.cursor.position)
        self._findings = findings
        self._routes: dict[tuple[str, str], list[tuple[StreamModel, int]]] = {}

    async def run(self, connection: Connection, after: int, progress: Progress) -> None:
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
                if isinstance(model, StreamModel):
                    await model.take_late(connection, self._folding(model))
                    await model.forget(connection)
            progress("models", page[-1][0])
        while self._waiting:
            await self._finish_first(connection)

    async def _take(self, connection: Connection, rows: list[Recorded]) -> None:
        reads = self._fold(rows)
        for model in self._waiting:
            if isinstance(model, ManyRowsModel):
                await model.take(connection, reads, self._findings)

    async def _finish_first(self, connection: Connection) -> None:
        model = self._waiting.pop(0)
        if isinstance(model, StreamModel):
            await model.take_late(connection, self._folding(model))
        await model.finish(connection, self._findings)
        self._routes.clear()

    def _folding(self, model: StreamModel) -> Callable[[list[Recorded]], object]:
        return Walk([model], self._findings)._fold

    def _fold(self, rows: list[Recorded]) -> list[Read]:
        """The hot loop, paid for each event. Returns what could be decoded."""
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

    def _unreadable(self, recorded: Recorded, error: Exception, route: list[tuple[StreamModel, int]]) -> None:
        message = f"{recorded.type} at position {recorded.position} cannot be read: {error}"
        self._findings.add("unreadable", recorded.position, message)
        for model, skip in route:
            model.breaks(recorded.stream[skip:])
        for other in self._waiting:
            if isinstance(other, ManyRowsModel) and other.projection.concerns(recorded):
                other.breaks()

    def _route(self, recorded: Recorded) -> list[tuple[StreamModel, int]]:
        """Models of an event, each with its stream prefix's length."""
        found = []
        for model in self._waiting:
            key = model.projection.key_of(recorded) if isinstance(model, StreamModel) else None
            if key is not None and isinstance(model, StreamModel):
                found.append((model, len(recorded.stream) - len(key)))
        self._routes[recorded.stream[:_KIND_CHARS], recorded.type] = found
        return found


def model_of(projection: AnyProjection, version: int, cursor: Cursor, *, whole: bool) -> AnyModel | None:
    """The read model's follower; None when only the whole log would do."""
    match projection:
        case OnePerStream():
            return StreamModel(projection, version, cursor, whole=whole)
        case ManyRows():
            return ManyRowsModel(projection, version, cursor) if whole else None
        case _:
            raise TypeError(f"{type(projection).__name__} has no way to be verified")
