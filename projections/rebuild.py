"""Build a projection's table anew beside the live one, compare the two, and swap.

    log ──▶ fresh table ──▶ same rows as live, at the same position? ──▶ one transaction: what came since,
                                                                         the view, the active version
While it runs the live table is read and written as ever. Nothing outside these tables is touched.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import msgspec
import structlog

from events.envelope import GENESIS, Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.sequence import require_sequence
from ledger.sql import query as ledger_query
from projections import cursors
from projections.catalogue import projection as projection_of
from projections.errors import RebuildDiffers, RebuildRunning, SwapTimedOut
from projections.projection import AnyProjection
from projections.root import RootHash, StateRoot
from projections.runner import apply
from projections.sql import query
from projections.tables import Table

logger = structlog.get_logger()

PAGE_EVENTS = 5000
DIFFERENCES_SHOWN = 5
_LOCK = 7_300_003
_SERVER_SETTINGS = {"application_name": "neurocards-rebuild", "timezone": "UTC"}
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '100ms'"

Progress = Callable[[int, int], None]
"""Called with the position reached and the position aimed at."""


class Rebuilt(msgspec.Struct, frozen=True):
    """`state` was equal in the old and the new table (unless `differed`); then the view was swapped."""

    state: StateRoot
    differed: tuple[str, ...]
    seconds: float


async def rebuild(
    database_url: str,
    name: str,
    *,
    accept_difference: bool = False,
    from_log: bool = False,
    swap_timeout_s: float = 60,
    progress: Progress | None = None,
) -> Rebuilt:
    """Rebuild a projection and swap it in. Needs the rights of the tables' owner, as `migrate` does.

    `from_log`: the live table is of a history that the log does not hold, so it is not compared; the fresh
    one goes up to the head. Raises RebuildRunning, RebuildDiffers (not with `accept_difference`),
    SwapTimedOut, IntegrityError when the log's chain does not hold, and what folding raises.
    """
    started = time.monotonic()
    work = await asyncpg.connect(database_url, server_settings=_SERVER_SETTINGS)
    live = await asyncpg.connect(database_url, server_settings=_SERVER_SETTINGS)
    try:
        if not await work.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK, name):
            raise RebuildRunning(f"another rebuild of {name} is under way; wait for it")
        run = _Rebuild(projection_of(name), work, live, progress, from_log=from_log)
        state, differed = await run.make()
        if differed and not accept_difference:
            raise RebuildDiffers(name, state.cursor.position, differed[:DIFFERENCES_SHOWN], len(differed))
        await run.swap(swap_timeout_s)
        await run.clean()
        return Rebuilt(state, differed, time.monotonic() - started)
    finally:
        await live.close()
        await work.close()


class _Rebuild:
    """One rebuild. `work` writes, `live` holds a snapshot of the live table while the two are compared."""

    def __init__(
        self,
        projection: AnyProjection,
        work: "asyncpg.Connection[asyncpg.Record]",
        live: "asyncpg.Connection[asyncpg.Record]",
        progress: Progress | None,
        *,
        from_log: bool,
    ) -> None:
        self._from_log = from_log
        self._projection = projection
        self._name = projection.name
        self._work = work
        self._live = live
        self._progress = progress
        self._reached = GENESIS
        self._fresh: Table

    async def make(self) -> tuple[StateRoot, tuple[str, ...]]:
        """Make and fill the fresh table; its state, and the keys of rows that differ from the live ones."""
        await self.clean()
        version, _ = await cursors.where_is(self._work, self._name)
        newest = await self._work.fetchval(query("newest_version"), self._name)
        self._fresh = Table(self._projection, newest + 1)
        async with self._work.transaction():
            names = {"fresh": self._fresh.name, "live": Table(self._projection, version).name}
            await self._work.execute(query("create_version").format_map(names))
            await self._work.execute(query("add_version"), self._name, self._fresh.version)
        target = await self._target()
        while target.position > self._reached.position:
            await self._fill(target)
            target = await self._target()
            if target.position - self._reached.position < PAGE_EVENTS:
                break
        if self._from_log:
            return await self._root(), ()
        return await self._compare()

    async def _target(self) -> Cursor:
        """Where the fresh table should come to."""
        if not self._from_log:
            return (await cursors.where_is(self._work, self._name))[1]
        row = await self._work.fetchrow(query("signing_head"))
        assert row is not None
        return Cursor(row["position"], row["hash"])

    async def _root(self) -> StateRoot:
        digest = RootHash(self._projection)
        async with self._work.transaction():
            async for row in self._fresh.scan(self._work):
                digest.add(row)
        return StateRoot(self._name, self._fresh.version, self._reached, digest.rows, digest.hexdigest())

    async def _fill(self, target: Cursor) -> None:
        """Apply the log to the fresh table, exactly up to the target."""
        while self._reached.position < target.position:
            async with self._work.transaction():
                # Lost in a crash together with the whole attempt; the swap's own commit makes it durable.
                await self._work.execute("SET LOCAL synchronous_commit = off")
                await self._apply_page(target)
            if self._progress is not None:
                self._progress(self._reached.position, target.position)
        if self._reached != target:
            raise IntegrityError(
                f"{self._name} has applied another event at position {target.position} than the log holds: "
                "the log went back in time; run `neurocards recover`"
            )

    async def _apply_page(self, target: Cursor) -> None:
        limit = min(PAGE_EVENTS, target.position - self._reached.position)
        rows = await self._work.fetch(ledger_query("events_after"), self._reached.position, limit)
        events = [Recorded(*row) for row in rows]
        if len(events) < limit:
            raise IntegrityError(f"the log ends before {target.position}, which {self._name} has applied")
        require_sequence(self._reached, events)
        await apply(self._work, self._projection, events, self._fresh.version)
        self._reached = events[-1].cursor

    async def _compare(self) -> tuple[StateRoot, tuple[str, ...]]:
        """Bring the fresh table to where a snapshot of the live one is, and walk through both."""
        async with self._live.transaction(isolation="repeatable_read", readonly=True):
            version, target = await cursors.where_is(self._live, self._name)
            await self._fill(target)
            async with self._work.transaction(isolation="repeatable_read", readonly=True):
                digest = RootHash(self._projection)
                old = Table(self._projection, version).scan(self._live)
                differing = await _differing(old, self._fresh.scan(self._work), digest)
        state = StateRoot(self._name, self._fresh.version, target, digest.rows, digest.hexdigest())
        return state, tuple(differing)

    async def swap(self, timeout_s: float) -> None:
        """Apply the rest and let the view show the fresh table, in one transaction.

        A long reader keeps the view locked; to wait for it would keep everybody else waiting behind us, so
        we give up quickly and try again.
        """
        give_up_at = time.monotonic() + timeout_s
        pause_s = 0.2
        while True:
            await self._fill(await self._target())
            reached = self._reached
            try:
                async with self._work.transaction():
                    await self._swap_once()
                return
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                self._reached = reached
                if time.monotonic() > give_up_at:
                    raise SwapTimedOut(
                        f"the view {self._name} was in use for {timeout_s:g} s; nothing was changed, "
                        "try again when no long query reads it"
                    ) from None
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.5, 2.0)

    async def _swap_once(self) -> None:
        await self._work.execute(_LOCK_TIMEOUT)
        row = await self._work.fetchrow(query("lock_cursor"), self._name, 0)
        assert row is not None  # we hold the rebuild's lock, so nobody else changes the active version
        target = await self._target()  # its row is locked now: nobody moves the live table on
        while self._reached.position < target.position:
            await self._apply_page(target)
        names = {
            "view": self._name,
            "columns": ", ".join(self._projection.columns),
            "table": self._fresh.name,
        }
        await self._work.execute(query("replace_view").format_map(names))
        await self._work.execute(query("retire_version"), self._name, row["version"])
        await self._work.execute(query("activate_version"), self._name, self._fresh.version)

    async def clean(self) -> None:
        """Drop versions nobody reads; one that a long reader still holds is left for the next rebuild."""
        for row in await self._work.fetch(query("versions"), self._name):
            table = Table(self._projection, row["version"])
            try:
                async with self._work.transaction():
                    await self._work.execute(_LOCK_TIMEOUT)
                    await self._work.execute(query("drop_version").format(table=table.name))
                    await self._work.execute(query("forget_version"), self._name, table.version)
            except asyncpg.LockNotAvailableError:
                logger.info("old_version_kept", table=table.name, reason="a long query still reads it")


async def _differing(old: AsyncIterator[Any], new: AsyncIterator[Any], digest: RootHash) -> list[str]:
    """Keys of the rows that are not the same in both; the new rows go into the digest."""
    differing: list[str] = []
    theirs = await anext(old, None)
    async for mine in new:
        digest.add(mine)
        while theirs is not None and _key(theirs) < _key(mine):
            differing.append(_key(theirs))
            theirs = await anext(old, None)
        if theirs != mine:
            differing.append(_key(mine))
        if theirs is not None and _key(theirs) == _key(mine):
            theirs = await anext(old, None)
    while theirs is not None:
        differing.append(_key(theirs))
        theirs = await anext(old, None)
    return differing


def _key(row: Any) -> str:
    return str(msgspec.structs.astuple(row)[0])
