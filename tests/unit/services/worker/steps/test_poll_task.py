"""A look waits for its place within the provider's limit, whatever is heard meanwhile."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

from services.worker.context import WorkerContext
from services.worker.run import JobRun
from services.worker.steps.poll_task import _read_slot
from tests.support.each import each


class Limits:
    """Places so far away."""

    def __init__(self, wait_s: float, urgent_wait_s: float) -> None:
        self._waits = {False: wait_s, True: urgent_wait_s}
        self.asked: list[bool] = []

    async def read_wait_s(self, account: str, *, urgent: bool = False) -> float:
        self.asked.append(urgent)
        return self._waits[urgent]


@each(("poke", "waited_s", "asked"), [(False, 0.2, [False]), (True, 0.05, [False, True])])
async def test_only_news_of_the_task_let_a_look_overtake(poke: bool, waited_s: float, asked: list[bool]):
    limits = Limits(0.2 if not poke else 3600.0, 0.05)
    tools: Any = SimpleNamespace(limits=limits)
    run = JobRun(cast(WorkerContext, tools), "j1")
    began_s = time.monotonic()
    slot = asyncio.create_task(_read_slot(run, "k1"))
    while not slot.done():
        run.hint(poke=poke)
        await asyncio.sleep(0.01)
    assert time.monotonic() - began_s >= waited_s
    assert limits.asked == asked
