"""The pass over the log that fills all tables of a rebuild, to near where the live ones are."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from events.envelope import Cursor
from ledger.checkpoints.store import hash_at
from ledger.errors import IntegrityError
from projections.engine.projection import OnePerStream
from projections.rebuild.connections import SETTINGS, Connections
from projections.rebuild.fill import Filling, Writer
from projections.rebuild.parallel import ParallelTask, merge, second_half
from projections.rebuild.shadow_table import Begun
from projections.rebuild.source import Source, pages
from projections.rebuild.swap import goal

CLOSE_EVENTS: Final = 5000
"""So near to the live table a fresh one counts as caught up; the rest is applied while the live one waits."""
HALVES_FROM_EVENTS = 500_000
"""A pass over so many events is divided between two processes."""

Progress = Callable[[int, int], None]
"""Called with the events done, as a position, and the position aimed at."""


def silent(position: int, target: int) -> None:
    """No progress is shown."""


class LogScan:
    """Fills tables. `database_url`: a second process may help, where the source is the log itself."""

    def __init__(
        self,
        to: Connections,
        source: Source,
        *,
        database_url: str | None,
        from_log: bool,
        progress: Progress = silent,
    ) -> None:
        self._to = to
        self._source = source
        self._database_url = database_url
        self._from_log = from_log
        self._progress = progress

    async def fill(self, begun: Sequence[Begun]) -> list[Cursor]:
        """Fill these tables; where each has come to."""
        writer = Writer(self._to.work)
        fillings = [Filling(one.table, one.reached, self._to.lookups, writer) for one in begun]
        try:
            while True:
                start = min((f.reached for f in fillings), key=lambda cursor: cursor.position)
                target = min([await self._goal(one.table.projection.name) for one in begun])
                await self._once(fillings, start, target)
                if target - start.position < CLOSE_EVENTS:
                    break
            for filling in fillings:
                await filling.finish()
        finally:
            for filling in fillings:
                await filling.stop()
        return [filling.reached for filling in fillings]

    async def _goal(self, name: str) -> int:
        return (await goal(self._to.live, name, from_log=self._from_log)).position

    async def _once(self, fillings: Sequence[Filling], start: Cursor, target: int) -> None:
        self._progress(start.position, target)
        middle = (start.position + target) // 2
        divided = [f for f in fillings if self._may_divide(f, middle)]
        if self._database_url is None or not divided or target - start.position < HALVES_FROM_EVENTS:
            await self._take(fillings, start, target, lambda position: self._progress(position, target))
            return
        found = await hash_at(self._to.live, middle)
        assert found is not None  # the live table is past it
        await self._in_halves(fillings, divided, start, Cursor(middle, found), target)

    def _may_divide(self, filling: Filling, middle: int) -> bool:
        return isinstance(filling.table.projection, OnePerStream) and filling.reached.position < middle

    async def _in_halves(
        self,
        fillings: Sequence[Filling],
        divided: Sequence[Filling],
        start: Cursor,
        middle: Cursor,
        target: int,
    ) -> None:
        """The second half of those that are `divided` is another process's; the others are all ours."""
        for filling in fillings:
            await filling.settle()
        others = [filling for filling in fillings if filling not in divided]
        done = {"ours": 0, "theirs": 0}

        def tell(whose: str, position: int) -> None:
            done[whose] = position - (start if whose == "ours" else middle).position
            both = done["ours"] if others else sum(done.values())
            self._progress(start.position + both, target)

        versions = {f.table.projection.name: f.table.version for f in divided}
        task = ParallelTask(str(self._database_url), SETTINGS, versions, middle, target)
        async with second_half(self._to.work, task, partial(tell, "theirs")) as theirs:
            await self._take(fillings, start, middle.position, partial(tell, "ours"), theirs)
            if others:
                await self._take(others, middle, target, partial(tell, "ours"), theirs)
            for filling in fillings:
                await filling.finish()
            reached = await theirs
        for filling in divided:
            if filling.reached != middle:
                raise IntegrityError(f"the log changed at position {middle.position} while it was read")
            await merge(self._to.work, filling, reached)

    async def _take(
        self,
        fillings: Sequence[Filling],
        after: Cursor,
        up_to: int,
        tell: Callable[[int], None],
        beside: "asyncio.Task[Cursor] | None" = None,
    ) -> None:
        """Fold what is between; stops as soon as what runs `beside` has failed."""
        async for page in pages(self._source, after, up_to):
            for filling in fillings:
                await filling.take(page)
            tell(page[-1].position)
            if beside is not None and beside.done():
                await beside
