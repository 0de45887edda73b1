"""Starts processes in order, keeps them running, and stops them in order; leaves none behind.

When the supervisor itself is killed, each process sees the end of its lifeline and ends: see
services/platform/parent_death.py.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Self

from services.local.child_process import Child, Spec
from services.local.data_dir import DataFolder
from services.local.log_tail import WarningTail

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 20.0
"""Longer than any service takes (services/platform/process.py, services/worker/worker.py)."""


class Supervisor:
    """`stages` of processes: each stage is started when the one before is ready, and stopped in reverse."""

    def __init__(
        self,
        stages: Sequence[Sequence[Spec]],
        folder: DataFolder,
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._say = say
        self._changed = changed
        self._reader, self._writer = os.pipe()
        self._stages = [
            [
                Child(
                    spec,
                    folder.log_path(spec.name),
                    folder.run / f"{spec.name}.json",
                    self._reader,
                    say,
                )
                for spec in stage
            ]
            for stage in stages
        ]
        self._tail = WarningTail({child.spec.name: child.log_path for child in self.children}, say)
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def children(self) -> list[Child]:
        return [child for stage in self._stages for child in stage]

    async def __aenter__(self) -> Self:
        return self

    async def start(self) -> None:
        """Start every stage. Raises StartError when a process does not become ready."""
        self._keepers.append(asyncio.create_task(self._tail.follow(), name="log tail"))
        for stage in self._stages:
            for child in stage:
                child.start()
            await asyncio.gather(*(child.wait_ready(READY_TIMEOUT_S) for child in stage))
            for child in stage:
                keeper = asyncio.create_task(
                    child.keep_running(self._changed), name=f"keep {child.spec.name}"
                )
                self._keepers.append(keeper)

    async def __aexit__(self, *exc: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for stage in reversed(self._stages):
            await asyncio.gather(*(child.stop(STOP_GRACE_S) for child in stage))
        self._tail.read()
        os.close(self._writer)
        os.close(self._reader)

    def kill(self) -> None:
        """End every process at once."""
        for child in self.children:
            child.kill()

    def pids(self) -> dict[str, int]:
        return {child.spec.name: child.pid for child in self.children if child.pid is not None}
