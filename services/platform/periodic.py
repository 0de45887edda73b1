"""Repeat a `run_once()`, which returns how much it did, for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from ledger.postgres import DATABASE_ERRORS
from services.platform.backoff import backoff_s
from services.platform.outage_log import POSTGRES

T = TypeVar("T")


async def repeat(
    run_once: Callable[[], Awaitable[int]],
    stop: asyncio.Event,
    name: str,
    *,
    idle_s: float,
    wake: asyncio.Event | None = None,
) -> None:
    """Call `run_once` until `stop`; after 0 sleep `idle_s` or until `wake`.

    DATABASE_ERRORS are retried, and an outage told once; every other error ends this.
    """
    failures = 0
    while not stop.is_set():
        if wake is not None:
            wake.clear()
        try:
            done = await run_once()
        except DATABASE_ERRORS as error:
            failures += 1
            POSTGRES.met(error, name)
            await sleep(backoff_s(failures, 0.2, 2.0), stop)
        else:
            failures = 0
            POSTGRES.over(name)
            if not done:
                await sleep(idle_s, stop, wake)


async def until_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """What the work comes to, or raises; None when `stop` was first, and the work is cancelled."""
    working = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


def obey_cancellation() -> None:
    """Raise CancelledError if this task's cancellation was lost.

    redis-py sends with `asyncio.wait_for`, which in Python 3.11 returns as if nothing had happened when the
    cancellation and the end of the sending come together.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end_tasks(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel until ended: redis-py's `wait_for` can swallow a cancellation before Python 3.12."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


async def sleep(seconds: float, stop: asyncio.Event, wake: asyncio.Event | None = None) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (stop, wake) if event is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
