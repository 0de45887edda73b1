"""Progress of long work, on stderr: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from services.cli.output import say

Progress = Callable[[str, int], None]
"""Called with the name of a part of the work and the position it has come to."""

LINE_EVERY_S = 10.0


@contextmanager
def walks(what: str, parts: Sequence[str], begin: int, end: int) -> Iterator[Progress]:
    """Parts that each go through the positions after `begin` to `end`, at the same time."""
    with _bars(parts, begin, end) if sys.stderr.isatty() else _lines(what, parts, begin, end) as progress:
        yield progress


@contextmanager
def _bars(parts: Sequence[str], begin: int, end: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bars = {part: shown.add_task(part, total=end - begin, rate="") for part in parts}

        def advance(part: str, position: int) -> None:
            speed = shown.tasks[bars[part]].speed or 0
            shown.update(bars[part], completed=position - begin, rate=f"{speed:,.0f}/s")

        yield advance


@contextmanager
def _lines(what: str, parts: Sequence[str], begin: int, end: int) -> Iterator[Progress]:
    started = said_at = time.monotonic()
    reached = dict.fromkeys(parts, begin)

    def tell(part: str, position: int) -> None:
        nonlocal said_at
        reached[part] = position
        now = time.monotonic()
        if now - said_at < LINE_EVERY_S:
            return
        said_at = now
        done = min(reached.values()) - begin
        rate = done / (now - started)
        left = f", {(end - begin - done) / rate:.0f} s left" if rate else ""
        say(f"{what}: {done:,} of {end - begin:,} events, {rate:,.0f}/s{left}")

    yield tell
