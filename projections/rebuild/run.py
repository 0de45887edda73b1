"""Rebuild projections' tables beside the live ones, compare, and swap.

    log ──▶ fresh tables ──▶ same rows as live, at the same position? ──▶ one transaction: what came since,
           (one pass)                                                     the view, the active version

While it runs the live tables are read and written as ever. A cancelled rebuild leaves nothing behind; one
that is killed, or loses the database, leaves a table that is right up to its cursor: the next rebuild goes on
with it (`resume`) or drops it.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from events.envelope import Cursor
from ledger.postgres import TRANSIENT, Connection, require_session
from projections.engine import cursors
from projections.engine.errors import RebuildMismatchError, RebuildRunningError, SwapTimeoutError
from projections.engine.projection import AnyProjection
from projections.engine.registry import projection as projection_of
from projections.engine.state_root import RootHash, StateRoot, root_of_table
from projections.engine.subprocess_task import gather_on
from projections.engine.tables import Table
from projections.rebuild import compare, shadow_table
from projections.rebuild.compare import NONE, Differences
from projections.rebuild.fill import Filling, LogSource, Progress, Source, Writer, connected, fill
from projections.rebuild.shadow_table import ResumePoint
from projections.rebuild.swap import Connections, Swapper, goal

CLOSE_EVENTS: Final = 5000
"""So near to the live table a fresh one counts as caught up; the rest is applied while the live one waits."""
_APPLICATION: Final = "neurocards-rebuild"
_LOCK: Final = 7_300_003


class RebuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a rebuild.

    `check`: compare, and swap nothing. `accept` is asked whether a table that differs shall be swapped in.
    `from_log`: the live table is of a history that the log does not hold, so it is not compared; the fresh
    one goes up to the head. `resume`: go on with what a killed rebuild has left. `show` so many rows that
    differ. `source` wraps the log's source of events. `tell` hears what follows the pass over the log.
    """

    check: bool = False
    accept: Callable[[StateRoot, Differences], bool] = lambda *_: False
    from_log: bool = False
    resume: bool = False
    show: int = compare.ROWS_SHOWN
    swap_timeout_s: float = 60
    source: Callable[[Source], Source] | None = None
    tell: Callable[[str], None] = lambda _: None


class RebuildResult(msgspec.Struct, frozen=True):
    """Outcome for one projection; `live` is the live root at the same position.

    None: not compared. `swapped`: the view shows the rebuilt table. `resumed_at`: where an earlier rebuild
    had come to.
    """

    state: StateRoot
    live: StateRoot | None
    differences: Differences
    swapped: bool
    resumed_at: int
    seconds: float


def silent(position: int, target: int) -> None:
    """No progress is shown."""


async def rebuild(
    database_url: str, name: str, options: RebuildOptions | None = None, *, progress: Progress = silent
) -> RebuildResult:
    """Rebuild one projection. Raises RebuildMismatchError unless a difference is accepted."""
    (done,) = await rebuild_all(database_url, [name], options or RebuildOptions(), progress=progress)
    found = done.differences
    if found.rows and not done.swapped:
        raise RebuildMismatchError(name, done.state.cursor.position, found.keys, found.rows)
    return done


async def rebuild_all(
    database_url: str, names: Sequence[str], options: RebuildOptions, *, progress: Progress = silent
) -> list[RebuildResult]:
    """Rebuild projections in one pass; each correct one is swapped in.

    Needs the rights of the tables' owner, as `migrate` does. Raises RebuildRunningError, SwapTimeoutError,
    IntegrityError when the log's chain does not hold, and what folding raises.
    """
    projections = [projection_of(name) for name in names]
    try:
        async with _connect(database_url, projections) as connections:
            return await _Rebuild(connections, options, progress).run(projections)
    except (*TRANSIENT, RebuildRunningError, SwapTimeoutError):
        raise  # what has come so far is left to be gone on with
    except BaseException:
        await _forget(database_url, projections)
        raise


@asynccontextmanager
async def _connect(database_url: str, projections: Sequence[AnyProjection]) -> AsyncIterator[Connections]:
    """Connections with the rebuild locks held. Raises RebuildRunningError."""
    async with AsyncExitStack() as stack:
        work, log, lookups, live = [
            await stack.enter_async_context(connected(database_url, _APPLICATION)) for _ in range(4)
        ]
        await require_session(work)
        for projection in projections:
            if not await _lock(work, projection):
                raise RebuildRunningError(f"another rebuild of {projection.name} is under way; wait for it")
        yield Connections(work, log, lookups, live)


async def _forget(database_url: str, projections: Sequence[AnyProjection]) -> None:
    """Drop a cancelled rebuild's tables, unless another rebuild runs by now."""
    async with connected(database_url, _APPLICATION) as connection:
        for projection in projections:
            if await _lock(connection, projection):
                await shadow_table.clean(connection, projection, lock_timeout_s=10)


async def _lock(connection: Connection, projection: AnyProjection) -> bool:
    """Advisory lock, for as long as the connection lives."""
    locked = "SELECT pg_try_advisory_lock($1, hashtext($2))"
    return bool(await connection.fetchval(locked, _LOCK, projection.name))


class _Rebuild:
    def __init__(self, connections: Connections, options: RebuildOptions, progress: Progress) -> None:
        self._to = connections
        self._options = options
        self._progress = progress
        log = LogSource(connections.log)
        self._source: Source = options.source(log) if options.source else log
        self._began = time.monotonic()

    async def run(self, projections: Sequence[AnyProjection]) -> list[RebuildResult]:
        begun = [await self._begin(projection) for projection in projections]
        reached = await self._fill(begun)
        done = []
        for one, cursor in zip(begun, reached, strict=True):
            swapper = Swapper(self._to, self._source, one.table, cursor, from_log=self._options.from_log)
            done.append(await self._conclude(one, swapper))
        return done

    async def _begin(self, projection: AnyProjection) -> ResumePoint:
        found = await shadow_table.left_over(self._to.work, projection) if self._options.resume else None
        if found is None:
            await shadow_table.clean(self._to.work, projection)
            found = await shadow_table.create(self._to.work, projection)
        return found

    async def _fill(self, begun: Sequence[ResumePoint]) -> list[Cursor]:
        writer = Writer(self._to.work)
        fillings = [Filling(one.table, one.reached, self._to.lookups, writer) for one in begun]
        try:
            while True:
                start = min((f.reached for f in fillings), key=lambda cursor: cursor.position)
                target = min([await self._goal(one.table.projection.name) for one in begun])
                self._progress(start.position, target)
                await fill(fillings, self._source, start, target, self._progress)
                if target - start.position < CLOSE_EVENTS:
                    break
            for filling in fillings:
                await filling.finish()
        finally:
            for filling in fillings:
                await filling.stop()
        return [filling.reached for filling in fillings]

    async def _goal(self, name: str) -> int:
        return (await goal(self._to.live, name, from_log=self._options.from_log)).position

    async def _conclude(self, begun: ResumePoint, swapper: Swapper) -> RebuildResult:
        options, projection = self._options, begun.table.projection
        options.tell(f"{projection.name}: all events are applied; it is compared and its indexes are made")
        await self._to.work.execute(f"ANALYZE {begun.table.name}")
        state, live, differences = await self._judge(begun, swapper)
        swap = not options.check and (not differences.rows or options.accept(state, differences))
        if swap:
            await swapper.swap(options.swap_timeout_s)
        await shadow_table.clean(self._to.work, projection)
        seconds = time.monotonic() - self._began
        return RebuildResult(state, live, differences, swap, begun.reached.position, seconds)

    async def _judge(
        self, begun: ResumePoint, swapper: Swapper
    ) -> tuple[StateRoot, StateRoot | None, Differences]:
        """Roots of fresh and live table, and differences; meanwhile indexes are made."""
        options, fresh = self._options, begun.table
        version, _ = await cursors.where_is(self._to.work, fresh.projection.name)
        live = Table(fresh.projection, version)
        async with swapper.meeting() as at:
            root, differences, _ = await gather_on(
                root_of_table(self._to.lookups, fresh),
                _nothing() if options.from_log else compare.compare(self._to.log, live, fresh, options.show),
                _nothing() if options.check else fresh.index(self._to.work),
            )
            state = _state(fresh, at, root)
            if options.from_log:
                return state, None, NONE
            old = await root_of_table(self._to.log, live) if differences.rows else root
            return state, _state(live, at, old), differences


async def _nothing() -> Differences:
    return NONE


def _state(table: Table, at: Cursor, digest: RootHash) -> StateRoot:
    return StateRoot(table.projection.name, table.version, at, digest.rows, digest.hexdigest())
