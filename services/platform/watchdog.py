"""Ends a process whose loop stands still: stacks on stderr, exit code 70.

A thread asks the loop for a turn each second and counts its own seconds without one. So a process that was
stopped and goes on (SIGSTOP, a suspended machine) is not ended: the thread stood still too. Why, and who
notices stopped ones: docs/decisions/frozen.md.
"""

import asyncio
import contextlib
import faulthandler
import os
import sys
import threading
from collections.abc import Iterator

import structlog

logger = structlog.get_logger()

TICK_S = 1.0
TICKS_MAX = 30
EXIT_CODE = 70
_LAST_WORDS_S = 5.0


@contextlib.contextmanager
def watch_loop() -> Iterator[None]:
    """Watch the running loop while inside."""
    loop, done, turned = asyncio.get_running_loop(), threading.Event(), threading.Event()
    turned.set()

    def watch() -> None:
        missed = 0
        while not done.wait(TICK_S):
            if turned.is_set():
                missed = 0
                turned.clear()
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(turned.set)
            else:
                missed += 1
            if missed >= TICKS_MAX:
                _end(missed * TICK_S)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _end(for_s: float) -> None:
    overdue = threading.Timer(_LAST_WORDS_S, os._exit, [EXIT_CODE])  # who reads stderr may stand still too
    overdue.daemon = True
    overdue.start()
    faulthandler.dump_traceback(sys.stderr)
    logger.critical("loop_stalled", for_s=for_s)
    os._exit(EXIT_CODE)
