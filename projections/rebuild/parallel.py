"""The second half of a long log, folded in a process of its own at the same time as the first.

    python -m projections.rebuild.parallel   # a ParallelTask on stdin; Progress lines on stdout

It does for projections whose rows each follow from one stream (`OnePerStream`). It begins in the middle, with
no rows. A row that began there is new and goes straight into the fresh table. One that began before is folded
again from its stream in the log, and stands in a table beside the fresh one, `…_late`, until the first half
is there too: only then may it take the place of the row that the first half has made. Which of them a row is,
its stream tells: whether its first event comes after the middle.

Who dies with both halves under way leaves rows in the fresh table that are later than its cursor; who resumes
deletes those first (`fresh.left_over`). A process that outlives its rebuild ends at its next word, and nobody
begins another rebuild while it holds LATE_LOCK.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import uvloop

from events.envelope import Cursor, Recorded
from events.errors import NeurocardsError
from ledger.errors import IntegrityError
from ledger.postgres import READ_WRITE
from ledger.sql import load_queries
from projections.engine.errors import ParallelRebuildError
from projections.engine.projection import OnePerStream
from projections.engine.registry import projection as projection_of
from projections.engine.subprocess_task import BROKEN_OFF, in_process, read_task, say, spare_collector
from projections.engine.tables import Table
from projections.rebuild.connections import LATE_LOCK
from projections.rebuild.fill import Filling, Writer
from projections.rebuild.source import LogSource, pages

if TYPE_CHECKING:
    from ledger.postgres import Connection

query = load_queries("projections.rebuild")

_MODULE = "projections.rebuild.parallel"
_EVERY_S = 0.2


class ParallelTask(msgspec.Struct):
    """Which tables, by projection and version, from where to where in which database."""

    url: str
    server_settings: dict[str, str]
    versions: dict[str, int]
    after: Cursor
    up_to: int


class Progress(msgspec.Struct, omit_defaults=True):
    """One line: how far it is, that it is done, or why it could not be. `broken`: the log is."""

    at: int = 0
    done: Cursor | None = None
    error: str = ""
    broken: bool = False


@asynccontextmanager
async def second_half(
    work: "Connection", task: ParallelTask, progress: Callable[[int], None]
) -> AsyncIterator["asyncio.Task[Cursor]"]:
    """Makes the late tables and starts the process; where it has come to when it is done."""
    for name, version in task.versions.items():
        table = Table(projection_of(name), version)
        await work.execute(query("create_late").format(late=table.late().name, fresh=table.name))
    running = asyncio.create_task(_run(task, progress))
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run(task: ParallelTask, progress: Callable[[int], None]) -> Cursor:
    async with in_process(_MODULE, task) as lines:
        async for line in lines:
            said = msgspec.json.decode(line, type=Progress)
            if said.error:
                raise IntegrityError(said.error) if said.broken else ParallelRebuildError(said.error)
            if said.done is not None:
                return said.done
            progress(said.at)
    raise ParallelRebuildError(
        "the process for the second half of the log ended early; is there enough memory?"
    )


async def merge(work: "Connection", filling: Filling, reached: Cursor) -> None:
    """Both halves are there: late rows take their places, and the table is where the second half ended."""
    table, late = filling.table, filling.table.late()
    columns = ", ".join(f"excluded.{column}" for column in table.projection.columns)
    async with work.transaction():
        names = {"table": table.name, "late": late.name, "key": table.projection.columns[0]}
        merging = query("merge_late")
        await work.execute(
            merging.format(columns=", ".join(table.projection.columns), excluded=columns, **names)
        )
        await work.execute(query("drop_version").format(table=late.name))
        await filling.jump(work, reached)


class LateFilling(Filling):
    """Fills from the middle of the log on."""

    def __init__(self, table: Table, after: Cursor, lookups: "Connection", writer: "LateWriter") -> None:
        super().__init__(table, after, lookups, writer)
        self._middle = after.position
        self._late = writer.late[table.projection.name]

    async def _read_back(self, keys: set[str], before: int) -> dict[str, Any]:
        projection = self.table.projection
        assert isinstance(projection, OnePerStream)
        streams = [projection.kind + key for key in keys]
        found = await self._lookups.fetch(query("streams_before"), streams, before)
        events = [Recorded(*row) for row in found]
        for first in events:
            if first.version == 1 and first.position <= self._middle:
                self._late.add(str(projection.key_of(first)))
        return projection.fold_all(events)

    async def _write(self) -> None:
        await super()._write()
        self._late.intersection_update(self._old)  # of the others it is found out again


class LateWriter(Writer):
    """Writes rows to where they belong. `late`: by projection, keys of those of the first half."""

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self.late: dict[str, set[str]] = defaultdict(set)

    async def _write(self, table: Table, made: Sequence[Any], changed: Sequence[Any], to: Cursor) -> None:
        del to
        key, late = table.projection.columns[0], self.late[table.projection.name]
        await table.insert(self.connection, made)
        await table.store(self.connection, [row for row in changed if getattr(row, key) not in late])
        await table.late().store(self.connection, [row for row in changed if getattr(row, key) in late])


async def fold(task: ParallelTask, progress: Callable[[int], None]) -> Cursor:
    """Do the task; where it has come to."""
    opened: list[asyncpg.Connection[asyncpg.Record]] = []
    fillings: list[LateFilling] = []
    try:
        for _ in range(3):
            opened.append(
                await asyncpg.connect(
                    task.url, server_settings=task.server_settings, target_session_attrs=READ_WRITE
                )
            )
        log, lookups, work = opened
        for name in task.versions:
            await work.execute("SELECT pg_advisory_lock_shared($1, hashtext($2))", LATE_LOCK, name)
        writer = LateWriter(work)
        tables = [Table(projection_of(name), version) for name, version in task.versions.items()]
        fillings += [LateFilling(table, task.after, lookups, writer) for table in tables]
        async for page in pages(LogSource(log), task.after, task.up_to):
            for filling in fillings:
                await filling.take(page)
            progress(page[-1].position)
        for filling in fillings:
            await filling.finish()
        return fillings[0].reached
    finally:
        for filling in fillings:
            await filling.stop()
        for connection in opened:
            connection.terminate()


async def _report(task: ParallelTask) -> None:
    said_at = time.monotonic()

    def progress(position: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > _EVERY_S:
            said_at = time.monotonic()
            say(Progress(at=position))

    say(Progress(done=await fold(task, progress)))


def main() -> None:
    """Read the task, do it."""
    task: ParallelTask = read_task(ParallelTask)
    spare_collector()
    try:
        uvloop.run(_report(task))
    except NeurocardsError as error:
        say(Progress(error=str(error), broken=isinstance(error, IntegrityError)))
    except BROKEN_OFF as error:
        say(Progress(error=f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()
