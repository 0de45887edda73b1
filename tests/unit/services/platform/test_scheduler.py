"""A periodic task that fails stops no other, and only what ended well is remembered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from services.platform import scheduler
from services.platform.process import Runtime
from services.platform.scheduler import Scheduler
from services.platform.settings import load_settings


def answering(answers: Iterator[int | Exception], last: asyncio.Event) -> Callable[[], Awaitable[int]]:
    async def run_once() -> int:
        answer = next(answers, None)
        if answer is None:
            last.set()
            return 0
        if isinstance(answer, Exception):
            raise answer
        return answer

    return run_once


async def test_rounds_remember_only_what_ended_well() -> None:
    runtime, last = Runtime(load_settings(), "test"), asyncio.Event()
    tasks = Scheduler(runtime)
    tasks.start("eager", answering(iter([3, OSError("away"), 2]), last), 3600, at_once=True)
    assert tasks.status()["eager"] == {"ago_s": None, "last": 0, "total": 0}
    await last.wait()
    await asyncio.sleep(0)
    told = tasks.status()["eager"]
    assert (told["last"], told["total"]) == (0, 5) and told["ago_s"] is not None
    runtime.stop.set()
    await runtime.wait()


async def test_an_error_nobody_expected_stops_no_other_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "FAILED_PAUSE_S", 0.001)
    runtime, failed, other = Runtime(load_settings(), "test"), asyncio.Event(), asyncio.Event()
    tasks = Scheduler(runtime)
    tasks.start("broken", answering(iter([ValueError("?"), KeyError("?"), 1]), failed), 3600, at_once=True)
    assert REGISTRY.get_sample_value("neurocards_round_timestamp_seconds", {"round": "broken"})
    tasks.start("whole", answering(iter([1, 1, 1]), other), 0.001)
    async with asyncio.timeout(30):
        await failed.wait()
        await other.wait()
    assert not runtime.stop.is_set()
    assert tasks.status()["broken"]["total"] == 1
    assert REGISTRY.get_sample_value("neurocards_round_failures_total", {"round": "broken"}) == 2
    runtime.stop.set()
    await runtime.wait()
