"""Projections brought up to the log's head."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest

from events.envelope import Cursor
from ledger.log.reader import LogReader
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.engine.state_root import build
from tests.support.state_roots import state_root

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CatchUp = Callable[..., Awaitable[None]]


async def bring_up(pool: "Pool", name: str, *, up_to: int | None = None, page: int = 50) -> Cursor:
    """Apply the log to one projection, page by page, to the head or to a position."""
    runner, reader = Runner(pool, PROJECTIONS[name]), LogReader(pool)
    cursor = await runner.cursor()
    up_to = (await reader.head()).position if up_to is None else up_to
    while cursor.position < up_to:
        events = await reader.events_after(cursor.position, min(page, up_to - cursor.position))
        cursor = await runner.apply(events)
    return cursor


async def versions(owner: "Pool", name: str) -> list[tuple[int, bool]]:
    """A projection's versions, and which of them is the active one."""
    rows = await owner.fetch("SELECT version, active FROM cursors WHERE name = $1 ORDER BY version", name)
    return [(row["version"], row["active"]) for row in rows]


async def tables(owner: "Pool", name: str) -> set[str]:
    """The tables that a projection has."""
    rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE tablename LIKE $1", f"{name}_v%")
    return {row["tablename"] for row in rows}


async def view_equals_log(pool: "Pool", name: str) -> bool:
    """Whether the rows are what the fold of the log says."""
    root = await state_root(pool, name)
    built, _ = await build(LogReader(pool), name, root.cursor.position)
    return (root.root, root.rows, root.cursor) == (built.root, built.rows, built.cursor)


@pytest.fixture
def catch_up(pool: "Pool") -> CatchUp:
    """Brings every projection (or the one named) up to the head (or to a position)."""

    async def run(*names: str, up_to: int | None = None) -> None:
        for name in names or PROJECTIONS:
            await bring_up(pool, name, up_to=up_to)

    return run
