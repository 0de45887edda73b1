"""Build projections' tables anew beside the live ones, compare, and swap.

    log ──▶ fresh tables ──▶ same rows as live, at the same position? ──▶ one transaction: what came since,
           (one pass)                                                     the view, the active version

While it runs the live tables are read and written as ever. Nothing outside these tables is touched. Whoever
is cancelled leaves nothing behind; whoever is killed, or loses the database, leaves a table that is right up
to its cursor: the next rebuild goes on with it (`resume`) or drops it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from events.envelope import Cursor
from projections.engine import cursors
from projections.engine.errors import RebuildMismatchError, RebuildRunningError, SwapTimeoutError
from projections.engine.projection import AnyProjection
from projections.engine.registry import projection as projection_of
from projections.engine.state_root import RootHash, StateRoot, root_of_table
from projections.engine.subprocess_task import BROKEN_OFF, gather_on
from projections.engine.tables import Table
from projections.rebuild import compare, shadow_table
from projections.rebuild.compare import NONE, Differences
from projections.rebuild.connections import Connections, connect, forget
from projections.rebuild.scan import LogScan, Progress, silent
from projections.rebuild.shadow_table import Begun
from projections.rebuild.source import LogSource, Source
from projections.rebuild.swap import Swapper


class RebuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild is to do.

    `check`: compare, and swap nothing. `accept` is asked whether a table that differs shall be swapped in.
    `from_log`: the live table is of a history that the log does not hold, so it is not compared; the fresh
    one goes up to the head. `resume`: go on with what a killed rebuild has left. `show` so many rows
    that differ. `source` makes the source of events out of the log's own. `tell` hears what comes after the
    pass over the log.
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
    """What came of one projection. `live` is the root of the live table at the same position.

    None: it was not compared. `swapped`: the view shows the rebuilt table now. `resumed_at` is the position
    that an earlier rebuild had come to.
    """

    state: StateRoot
    live: StateRoot | None
    differences: Differences
    swapped: bool
    resumed_at: int
    seconds: float


async def rebuild(
    database_url: str, name: str, how: RebuildOptions | None = None, *, progress: Progress = silent
) -> RebuildResult:
    """Rebuild one projection. Raises RebuildMismatchError unless the difference is accepted; see
    `rebuild_all`."""
    how = how or RebuildOptions()
    (done,) = await rebuild_all(database_url, [name], how, progress=progress)
    found = done.differences
    if found.rows and not done.swapped:
        raise RebuildMismatchError(name, done.state.cursor.position, found.keys, found.rows)
    return done


async def rebuild_all(
    database_url: str, names: Sequence[str], how: RebuildOptions, *, progress: Progress = silent
) -> list[RebuildResult]:
    """Rebuild projections in one pass over the log; each that is right is swapped in.

    Needs the rights of the tables' owner, as `migrate` does. Raises RebuildRunningError, SwapTimeoutError,
    IntegrityError when the log's chain does not hold, and what folding raises.
    """
    projections = [projection_of(name) for name in names]
    try:
        async with connect(database_url, projections) as connections:
            return await _Rebuild(connections, projections, how, progress, database_url).run()
    except (
        *BROKEN_OFF,
        RebuildRunningError,
        SwapTimeoutError,
    ):  # what has come so far is left to be gone on with
        raise
    except BaseException:
        await forget(database_url, projections)
        raise


class _Rebuild:
    def __init__(
        self,
        connections: Connections,
        projections: Sequence[AnyProjection],
        how: RebuildOptions,
        progress: Progress,
        database_url: str,
    ) -> None:
        self._to = connections
        self._projections = projections
        self._how = how
        log = LogSource(connections.log)
        self._source: Source = how.source(log) if how.source else log
        self._pass = LogScan(
            connections,
            self._source,
            database_url=None if how.source else database_url,
            from_log=how.from_log,
            progress=progress,
        )
        self._began = time.monotonic()

    async def run(self) -> list[RebuildResult]:
        begun = [await self._begin(projection) for projection in self._projections]
        reached = await self._pass.fill(begun)
        done = []
        for one, cursor in zip(begun, reached, strict=True):
            swapper = Swapper(self._to, self._source, one.table, cursor, from_log=self._how.from_log)
            done.append(await self._conclude(one, swapper))
        return done

    async def _begin(self, projection: AnyProjection) -> Begun:
        found = await shadow_table.left_over(self._to.work, projection) if self._how.resume else None
        if found is None:
            await shadow_table.clean(self._to.work, projection)
            found = await shadow_table.create(self._to.work, projection)
        return found

    async def _conclude(self, begun: Begun, swapper: Swapper) -> RebuildResult:
        """Compare one table, and swap it in where that is wanted."""
        how = self._how
        name = begun.table.projection.name
        how.tell(f"{name}: all events are applied; it is compared and its indexes are made")
        await self._to.work.execute(f"ANALYZE {begun.table.name}")
        state, live, differences = await self._judge(begun, swapper)
        swap = not how.check and (not differences.rows or how.accept(state, differences))
        if swap:
            await swapper.swap(how.swap_timeout_s)
        await shadow_table.clean(self._to.work, begun.table.projection)
        seconds = time.monotonic() - self._began
        return RebuildResult(state, live, differences, swap, begun.reached.position, seconds)

    async def _judge(self, begun: Begun, swapper: Swapper) -> tuple[StateRoot, StateRoot | None, Differences]:
        """The roots of fresh and live table, and how they differ; the indexes are made meanwhile."""
        version, _ = await cursors.where_is(self._to.work, begun.table.projection.name)
        live = Table(begun.table.projection, version)
        async with swapper.meeting() as at:
            root, differences, _ = await gather_on(
                root_of_table(self._to.lookups, begun.table),
                self._nothing()
                if self._how.from_log
                else compare.compare(self._to.log, live, begun.table, self._how.show),
                self._nothing() if self._how.check else shadow_table.index(self._to.work, begun, live),
            )
            state = _state(begun.table, at, root)
            if self._how.from_log:
                return state, None, NONE
            old = await root_of_table(self._to.log, live) if differences.rows else root
            return state, _state(live, at, old), differences

    async def _nothing(self) -> Any:
        return NONE


def _state(table: Table, at: Cursor, digest: RootHash) -> StateRoot:
    return StateRoot(table.projection.name, table.version, at, digest.rows, digest.hexdigest())
