"""A test's limit ends the test, never its process: a pytest plugin.

pytest-timeout reads the limits, from pyproject.toml and from the mark `timeout`. Its own alarm strikes once
in a test, wherever that may be: what swallows it goes on for ever, so does a hanging teardown. Ours is set
for each of setup, call and teardown, strikes in them only, never in pytest itself, and again until they end.
What not even this can end is left to the watchdog.
"""

import asyncio
import signal
import sys
from collections.abc import Generator
from types import FrameType
from typing import Any

import pytest

from tests.support import watchdog

AGAIN_S = 20.0
"""Time to tidy up after a strike, until the next one; no more than the limit."""

_limit_s = pytest.StashKey[float]()
Phase = Generator[None, object, object]


def pytest_configure() -> None:
    watchdog.answer()


def pytest_runtest_logstart(nodeid: str) -> None:
    watchdog.note(nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Keep what pytest-timeout has found for this test; no timer of its own."""
    item.stash[_limit_s] = settings.timeout
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    _disarm()
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Phase:
    return (yield from _limited(item, "setup"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Phase:
    return (yield from _limited(item, "call"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Phase:
    return (yield from _limited(item, "teardown"))


def _limited(item: pytest.Item, phase: str) -> Phase:
    limit_s = item.stash.get(_limit_s, 0)
    try:
        if limit_s:
            _arm(limit_s, phase)
        try:
            return (yield)
        finally:
            _disarm()
    finally:
        _disarm()  # a strike may have hit the line above


def _arm(limit_s: float, phase: str) -> None:
    def strike(signum: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        _show_tasks()
        pytest.fail(f"Timeout: {phase} took more than {limit_s:g} s")

    signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, limit_s, min(limit_s, AGAIN_S))


def _disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def _show_tasks() -> None:
    """Where each task waits; the traceback shows only that the loop does."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs
        return
    for task in tasks:
        task.print_stack(file=sys.stderr)
