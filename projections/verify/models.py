"""The walk that folds every read model anew, to compare it row by row with its table at its cursor.

A job's row is compared and forgotten when the job has ended; should an event come later, the row is folded
again from its stream. Accounts' rows are kept to the end.
"""

from typing import TYPE_CHECKING, Any

from events.codec import decode
from events.envelope import Cursor, Recorded
from events.errors import CodecError
from events.streams import job_of
from projections.errors import ProjectionError
from projections.problems import Findings
from projections.projection import AnyProjection
from projections.tables import Table
from projections.verify.chain import Progress
from projections.verify.sql import query

if TYPE_CHECKING:
    from projections.tables import Connection

PAGE = 1000
KEYS_SHOWN = 5
_ENDS = frozenset({"JobSucceeded", "JobFailed"})


class Model:
    """One read model: rows folded and not compared yet."""

    def __init__(self, projection: AnyProjection, version: int, cursor: Cursor, *, whole: bool) -> None:
        self.projection = projection
        self.table = Table(projection, version)
        self.cursor = cursor
        self.rows: dict[str, Any] = {}
        self.done = False
        self._whole = whole
        self._over: set[str] = set()
        self._broken: set[str] = set()
        self._ahead: set[str] = set()
        self._seen = 0
        self._forgotten = 0
        self._differing: list[str] = []
        self._different = 0

    def fold(self, recorded: Recorded, event: Any, findings: Findings) -> None:
        """One event up to the cursor."""
        projection = self.projection
        key = projection.key_of(recorded)
        if key is None or key in self._broken:
            return
        try:
            self.rows[key] = projection.evolve(self.rows.get(key), recorded, event)
        except ProjectionError as error:
            self._broken.add(key)
            findings.add("projection", recorded.position, f"{projection.name} cannot hold {key}: {error}")
            return
        if recorded.type in _ENDS and key == job_of(recorded.stream):
            self._over.add(key)

    def breaks(self, recorded: Recorded) -> None:
        """An event that cannot be read: what its row should be is not known."""
        key = self.projection.key_of(recorded)
        if key is not None:
            self._broken.add(key)

    def unknown(self, rows: list[Recorded]) -> list[str]:
        """Streams that the page goes on with and that are not in memory."""
        return [
            row.stream
            for row in rows
            if row.version > 1
            and row.position <= self.cursor.position
            and (key := self.projection.key_of(row)) is not None
            and key not in self.rows
        ]

    async def forget(self, connection: "Connection") -> None:
        """Compare the rows that nothing more is expected for, and drop them."""
        over = {key: self.rows.pop(key) for key in self._over if key in self.rows}
        self._over.clear()
        await self._compare(connection, over)

    async def finish(self, connection: "Connection", findings: Findings) -> None:
        """The walk is where the table is: compare the rest, and look for rows the log knows nothing of."""
        self.done = True
        name, position = self.projection.name, self.cursor.position
        keys = list(self.rows)
        for begin in range(0, len(keys), PAGE):
            some = {key: self.rows.pop(key) for key in keys[begin : begin + PAGE]}
            await self._compare(connection, some)
        for key in self._ahead:
            self._differs(key)
        if self._whole:
            await self._extra(connection)
        if self._different:
            shown = ", ".join(self._differing[:KEYS_SHOWN])
            more = ", …" if self._different > KEYS_SHOWN else ""
            message = (
                f"{name} differs from the log at position {position} in {self._different} rows: {shown}{more}"
            )
            findings.add("projection", position, message)

    async def _compare(self, connection: "Connection", expected: dict[str, Any]) -> None:
        if not expected:
            return
        stored = await self.table.load(connection, expected)
        for key, row in expected.items():
            found = stored.get(key)
            if key in self._broken or found == row:
                self._ahead.discard(key)
            elif found is not None and found.position > row.position and key not in self._ahead:
                self._ahead.add(key)  # it has seen a later event of this job, which we have not yet
            elif found is None or found.position <= row.position:
                self._differs(key)
        self._seen += len(stored)

    async def _extra(self, connection: "Connection") -> None:
        """Rows of the table that no event has made."""
        prefix = "account-" if self.projection.columns[0] == "account" else "job-"
        sql = query("extra_rows").format(table=self.table.name, key=self.projection.columns[0])
        for row in await connection.fetch(sql, prefix, self.cursor.position):
            self._differs(row[0])

    def _differs(self, key: str) -> None:
        self._different += 1
        if len(self._differing) < KEYS_SHOWN:
            self._differing.append(key)


async def walk(
    connection: "Connection", models: list[Model], after: int, findings: Findings, progress: Progress
) -> None:
    """Go through all rows after a position, in the caller's snapshot, and compare every model."""
    waiting = sorted((model for model in models if not model.done), key=lambda m: m.cursor.position)
    cursor = await connection.cursor(query("log_after"), after)
    while page := await cursor.fetch(PAGE):
        rows = [Recorded(*row) for row in page]
        await _load(connection, waiting, rows)
        for recorded in rows:
            while waiting and waiting[0].cursor.position < recorded.position:
                await waiting.pop(0).finish(connection, findings)
            _fold(waiting, recorded, findings)
        for model in waiting:
            await model.forget(connection)
        progress("models", rows[-1].position)
    for model in waiting:
        await model.finish(connection, findings)


def _fold(models: list[Model], recorded: Recorded, findings: Findings) -> None:
    try:
        event = decode(recorded)
    except CodecError as error:
        findings.add("unreadable", recorded.position, str(error))
        for model in models:
            model.breaks(recorded)
        return
    for model in models:
        model.fold(recorded, event, findings)


async def _load(connection: "Connection", models: list[Model], rows: list[Recorded]) -> None:
    """Fold what the page goes on with and is not in memory from its streams."""
    streams = {stream for model in models for stream in model.unknown(rows)}
    if not streams:
        return
    muted = Findings()
    for row in await connection.fetch(query("streams_before"), list(streams), rows[0].position):
        _fold(models, Recorded(*row), muted)
