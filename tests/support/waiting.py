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
    begun = time.monotonic()
    while True:
        answer = predicate()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        waited_s = time.monotonic() - begun
        if waited_s > timeout_s:
            described = what() if callable(what) else what or inspect.getsource(predicate).strip()
            raise AssertionError(f"not within {timeout_s:g} s: {described} (last: {value!r})")
        await asyncio.sleep(_pause_s(waited_s, interval_s))


def _pause_s(waited_s: float, least_s: float) -> float:
    """Longer and longer, for looking takes the cores from what is waited for; nobody waits much longer."""
    return max(least_s, min(waited_s / 20, 0.2))


def eventually_now(predicate: Callable[[], T], timeout_s: float = PATIENCE_S, *, what: str = "") -> T:
    """The same for tests without an event loop."""
    begun = time.monotonic()
    while not (value := predicate()):
        waited_s = time.monotonic() - begun
        if waited_s > timeout_s:
            raise AssertionError(
                f"not within {timeout_s:g} s: {what or inspect.getsource(predicate).strip()}"
            )
        time.sleep(_pause_s(waited_s, 0.02))
    return value
