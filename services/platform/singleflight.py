"""Single flight: coalesce concurrent requests, without stale answers.

A request that comes while the work runs may know news that this run has not read. So it waits for *another*
run that begins afterwards, shared by all who come meanwhile: fifty at once are two runs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Coalescing(Generic[T]):
    """Runs `work(name)`: at most one run per name, and one waiting."""

    def __init__(self, work: Callable[[str], Awaitable[T]]) -> None:
        self._work = work
        self._running: dict[str, asyncio.Task[T]] = {}
        self._next: dict[str, asyncio.Task[T]] = {}

    async def run(self, name: str) -> T:
        """Result of a run begun after this call. Its error reaches all waiters."""
        if name not in self._next:
            task = asyncio.create_task(self._begin(name, self._running.get(name)), name=f"next {name}")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen by then
            self._next[name] = task
        return await asyncio.shield(self._next[name])  # one who gives up must not take it from the others

    async def _begin(self, name: str, before: "asyncio.Task[T] | None") -> T:
        if before is not None:
            await asyncio.wait([before])
        task = self._running[name] = self._next.pop(name)
        try:
            return await self._work(name)
        finally:
            if self._running.get(name) is task:
                del self._running[name]
