"""Live view on a terminal: redrawn on time or resize, until `q`.

The terminal is left as it was, however the view ends: `q`, Ctrl-C (130), SIGTERM, or an error.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from services.cli.top.collect import Looking
from services.cli.top.model import Facts, Pulse
from services.cli.top.render import frame
from services.platform.settings import Settings

_LEAVE: Final = (b"q", b"Q", b"\x04")


class Screen:
    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.left = False

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._woken.wait()
        self._woken.clear()

    def leave(self) -> None:
        self.left = True
        self._woken.set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch signals, and keys where there is a keyboard: one by one, without echo."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._woken.set)
        loop.add_signal_handler(signal.SIGTERM, self.leave)
        try:
            if not sys.stdin.isatty():
                yield
                return
            with _keys_unseen(sys.stdin.fileno()):
                loop.add_reader(sys.stdin.fileno(), self._key)
                try:
                    yield
                finally:
                    loop.remove_reader(sys.stdin.fileno())
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            loop.remove_signal_handler(signal.SIGTERM)

    def _key(self) -> None:
        typed = os.read(sys.stdin.fileno(), 64)
        if not typed or any(key in typed for key in _LEAVE):
            self.leave()


@contextmanager
def _keys_unseen(terminal: int) -> Iterator[None]:
    import termios
    import tty

    before: list[Any] = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


async def watch(settings: Settings, every_s: float) -> None:
    for name in ("COLUMNS", "LINES"):  # rich would believe them, and they do not change with the window
        os.environ.pop(name, None)
    console, screen, pulse = Console(), Screen(), Pulse()
    async with Looking(settings) as looking:
        with screen.watched(), Live(console=console, screen=True, auto_refresh=False) as live:
            due = 0.0
            facts: Facts | None = None
            while not screen.left:
                if facts is None or time.monotonic() >= due:
                    due = time.monotonic() + every_s
                    facts = await looking.look()
                    if facts.postgres is None:
                        pulse.beat(time.monotonic(), facts.head)
                live.update(frame(facts, pulse, console.width, "q leaves"), refresh=True)
                await screen.wait(due - time.monotonic())


async def look_once(settings: Settings) -> Facts:
    async with Looking(settings) as looking:
        return await looking.look()
