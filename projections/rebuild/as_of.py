"""Projections as of an earlier position, built from the log aside.

Live tables and their cursors are not touched.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from events.envelope import GENESIS, Cursor
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.engine.errors import TargetTakenError
from projections.engine.projection import AnyProjection
from projections.engine.registry import projection as projection_of
from projections.engine.state_root import StateRoot, root_of_table
from projections.engine.tables import Table
from projections.export.writer import WholeFile
from projections.rebuild.fill import Filling, LogSource, Progress, Source, Writer, connected, fill

query = load_queries("projections.rebuild")

_APPLICATION: Final = "neurocards-replay"
_TEMPORARY: Final = "pg_temp"
_SCHEMA: Final = re.compile(r"(?!pg_|public$|audit$|information_schema$)[a-z_][a-z0-9_]{0,62}")

_encode = msgspec.json.Encoder().encode


class Into(msgspec.Struct, frozen=True):
    """Target: a table each in a schema, a file each in a folder, or nowhere."""

    schema: str = ""
    folder: Path | None = None

    def file_of(self, name: str) -> Path | None:
        return self.folder / f"{name}.jsonl" if self.folder else None


async def build_at(
    database_url: str,
    names: Sequence[str],
    position: int,
    into: Into,
    *,
    source: Callable[[Source], Source] | None = None,
    progress: Progress = lambda *_: None,
) -> list[StateRoot]:
    """Projections as of a position in the log. Raises TargetTakenError, IntegrityError, folding errors."""
    projections = [projection_of(name) for name in names]
    _require_free(projections, into)
    async with (
        connected(database_url, _APPLICATION) as work,
        connected(database_url, _APPLICATION) as log,
        _tables(work, projections, into) as tables,
    ):
        writer = Writer(work)
        events: Source = LogSource(log) if source is None else source(LogSource(log))
        fillings = [Filling(table, GENESIS, work, writer) for table in tables]
        await fill(fillings, events, GENESIS, position, progress)
        for filling in fillings:
            await filling.finish()
        return [await _conclude(work, filling.table, filling.reached, into) for filling in fillings]


def schema_name(name: str) -> bool:
    """Whether it is a plain name, neither ours nor Postgres'."""
    return _SCHEMA.fullmatch(name) is not None


def _require_free(projections: Sequence[AnyProjection], into: Into) -> None:
    for projection in projections:
        path = into.file_of(projection.name)
        if path is not None and path.exists():
            raise TargetTakenError(f"{path} is there already; remove it or choose another folder")


@asynccontextmanager
async def _tables(
    work: Connection, projections: Sequence[AnyProjection], into: Into
) -> AsyncIterator[list[Table]]:
    """Empty tables; visible ones are dropped again on failure."""
    tables = [Table(projection, 0, schema=into.schema or _TEMPORARY) for projection in projections]
    if into.schema:
        await work.execute(f'CREATE SCHEMA IF NOT EXISTS "{into.schema}"')
    async with AsyncExitStack() as undo:
        for table in tables:
            try:
                await table.create(work)
            except asyncpg.DuplicateTableError:
                raise TargetTakenError(
                    f"{table.name} is there already; drop it or choose another schema"
                ) from None
            undo.push_async_callback(_drop, work, table)
        yield tables
        undo.pop_all()


async def _drop(work: Connection, table: Table) -> None:
    with suppress(asyncpg.InterfaceError, OSError):  # the connection is lost; say what lost it
        await work.execute(query("drop_version").format(table=table.name))


async def _conclude(work: Connection, table: Table, at: Cursor, into: Into) -> StateRoot:
    async with work.transaction():
        digest = await root_of_table(work, table)
        path = into.file_of(table.projection.name)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with WholeFile(path) as file:
                async for row in table.scan(work):
                    file.write(_encode(row) + b"\n")
    return StateRoot(table.projection.name, 0, at, digest.rows, digest.hexdigest())
