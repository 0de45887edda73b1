"""The terminal that a program was started in, and whether it is still there.

A hangup reaches the leader of the terminal's session first. A shell passes it on; `make` keeps it to itself
and waits for its children, which would run on for ever where nobody sees them.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final, ParamSpec

from services.platform.parent_death import hangup_is_ignored

LOOK_S: Final = 0.5
P = ParamSpec("P")


async def terminal_gone() -> None:
    """Return when our terminal is gone; never where there is none, or a hangup is ignored."""
    tty = None
    with contextlib.suppress(OSError):  # there is none
        tty = None if hangup_is_ignored() else os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    if tty is None:
        await asyncio.Event().wait()
        return
    try:
        while os.isatty(tty):
            await asyncio.sleep(LOOK_S)
    finally:
        os.close(tty)


def whoever_hears(tell: Callable[P, None]) -> Callable[P, None]:
    """The same, except that nobody need be there to hear it: the terminal may be gone, or a pipe's reader."""

    def told(*words: P.args, **more: P.kwargs) -> None:
        with contextlib.suppress(OSError):
            tell(*words, **more)

    return told
