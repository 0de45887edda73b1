"""Waiting for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE_S = 60.0
"""For what takes a second on an idle machine: others may want the same cores. Only a failure costs it."""


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T]],
    timeout_s: float = PATIENCE_S,
    *,
    interval_s: float = 0.02,
    what: str | Callable[[], str] = "",
) -> T: ...


@overload
async def eventually(
    predicate: Callable[[], T],
    timeout_s: float = PATIENCE_S,
    *,
    interval_s: float = 0.02,
    what: str | Callable[[], str] = "",
) -> T: ...


async def eventually(
    predicate: Callable[[], Any],
    timeout_s: float = PATIENCE_S,
    *,
    interval_s: float = 0.02,
    what: str | Callable[[], str] = "",
) -> Any:
    """The first true value of `predicate`, asked again and again. AssertionError after `timeout_s`.

    `what` says what was waited for, or a function that describes the state it was left in.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = predicate()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            described = what() if callable(what) else what or inspect.getsource(predicate).strip()
            raise AssertionError(f"not within {timeout_s:g} s: {described} (last: {value!r})")
        await asyncio.sleep(interval_s)


def eventually_now(predicate: Callable[[], T], timeout_s: float = PATIENCE_S, *, what: str = "") -> T:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {timeout_s:g} s: {what or inspect.getsource(predicate).strip()}"
            )
        time.sleep(0.02)
    return value
