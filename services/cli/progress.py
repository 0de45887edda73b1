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
def walks(what: str, parts: Sequence[str], begin: int, end: int, unit: str = "events") -> Iterator[Progress]:
    """Parts that each go through the positions after `begin` to `end`, at the same time."""
    shown = _bars(parts, begin, end) if sys.stderr.isatty() else _lines(what, parts, begin, end, unit)
    with shown as progress:
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
def _lines(what: str, parts: Sequence[str], begin: int, end: int, unit: str) -> Iterator[Progress]:
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
        say(f"{what}: {done:,} of {end - begin:,} {unit}, {rate:,.0f}/s{left}")

    yield tell


@contextmanager
def shares(what: str, parts: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    """Parts of which the whole becomes known on the way; called with the part, bytes done, bytes in all."""
    with _byte_bars(parts) if sys.stderr.isatty() else _byte_lines(what) as progress:
        yield progress


@contextmanager
def _byte_bars(parts: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bars = {part: shown.add_task(part, total=None) for part in parts}
        yield lambda part, done, total: shown.update(bars[part], completed=done, total=total)


@contextmanager
def _byte_lines(what: str) -> Iterator[Callable[[str, int, int], None]]:
    began = said_at = time.monotonic()

    def tell(part: str, done: int, total: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at < LINE_EVERY_S:
            return
        said_at = now
        rate = done / (now - began)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        say(f"{what}: {part}, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {rate / 1e6:,.0f} MB/s{left}")

    yield tell
