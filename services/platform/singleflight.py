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
        if name in self._next:
            task = self._next[name]
        elif name not in self._running:
            task = self._begin(name)
        else:
            task = asyncio.create_task(self._after(self._running[name], name), name=f"next {name}")
            self._next[name] = task
        return await asyncio.shield(task)  # one who gives up must not take it from the others

    def _begin(self, name: str) -> "asyncio.Task[T]":
        task = asyncio.ensure_future(self._run(name))
        self._running[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))
        return task

    async def _run(self, name: str) -> T:
        return await self._work(name)

    async def _after(self, before: "asyncio.Task[T]", name: str) -> T:
        await asyncio.wait([before])
        del self._next[name]
        task = asyncio.current_task()
        assert task is not None
        self._running[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))
        return await self._work(name)

    def _ended(self, name: str, done: "asyncio.Task[T]") -> None:
        if self._running.get(name) is done:
            del self._running[name]
        if not done.cancelled():
            done.exception()  # seen, also when everyone has given up waiting
