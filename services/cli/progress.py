"""Progress on stderr: bars with rate and time left, or plain lines."""

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
    """Progress of concurrent walks from position `begin` (excluded) to `end`."""
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


def _seldom() -> Callable[[], float]:
    """Seconds since now, once in LINE_EVERY_S; else 0."""
    began = said_at = time.monotonic()

    def passed_s() -> float:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at < LINE_EVERY_S:
            return 0
        said_at = now
        return now - began

    return passed_s


@contextmanager
def _lines(what: str, parts: Sequence[str], begin: int, end: int, unit: str) -> Iterator[Progress]:
    passed_s = _seldom()
    reached = dict.fromkeys(parts, begin)

    def tell(part: str, position: int) -> None:
        reached[part] = position
        if not (seconds := passed_s()):
            return
        done = min(reached.values()) - begin
        rate = done / seconds
        left = f", {(end - begin - done) / rate:.0f} s left" if rate else ""
        say(f"{what}: {done:,} of {end - begin:,} {unit}, {rate:,.0f}/s{left}")

    yield tell


@contextmanager
def shares(what: str, parts: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    """Progress of parts whose totals become known on the way: part, bytes done, bytes in all."""
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
    passed_s = _seldom()

    def tell(part: str, done: int, total: int) -> None:
        if not (seconds := passed_s()):
            return
        rate = done / seconds
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        say(f"{what}: {part}, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {rate / 1e6:,.0f} MB/s{left}")

    yield tell
