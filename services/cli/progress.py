"""Progress on stderr: bars with rate and time left, or plain lines."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from services.cli.output import say

Progress = Callable[[str, int], None]
"""Called with the name of a part of the work and the position it has come to."""
Share = Callable[[str, int, int], None]
"""Called with the name of a part, how much of it is done, and how much there is."""

LINE_EVERY_S = 10.0


class Unit(NamedTuple):
    name: str
    size: float
    per_s: str


_BYTES: Final = Unit("MB", 1e6, " MB/s")


@contextmanager
def walks(what: str, parts: Sequence[str], begin: int, end: int, unit: str = "events") -> Iterator[Progress]:
    """Progress of concurrent walks from position `begin` (excluded) to `end`."""
    reached = dict.fromkeys(parts, begin)
    counted = Unit(unit, 1, "/s")
    with _bars(parts, counted) if sys.stderr.isatty() else _lines(counted) as share:

        def tell(part: str, position: int) -> None:
            reached[part] = position
            if sys.stderr.isatty():
                share(part, position - begin, end - begin)
            else:  # one line for all: of who is furthest behind
                share(what, min(reached.values()) - begin, end - begin)

        yield tell


@contextmanager
def shares(what: str, parts: Sequence[str]) -> Iterator[Share]:
    """Progress of parts whose totals become known on the way: part, bytes done, bytes in all."""
    if sys.stderr.isatty():
        with _bars(parts, _BYTES) as share:
            yield share
    else:
        with _lines(_BYTES) as share:
            yield lambda part, done, total: share(f"{what} {part}", done, total)


@contextmanager
def _bars(parts: Sequence[str], unit: Unit) -> Iterator[Share]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    name, told = TextColumn("{task.description}"), TextColumn("{task.fields[done]}")
    columns = (name, BarColumn(), told, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bars = {part: shown.add_task(part, total=None, done="") for part in parts}

        def advance(part: str, done: int, total: int) -> None:
            speed = shown.tasks[bars[part]].speed or 0
            words = _words(done, total, speed, unit)
            shown.update(bars[part], completed=done, total=total, done=words)

        yield advance


@contextmanager
def _lines(unit: Unit) -> Iterator[Share]:
    began = said_at = time.monotonic()

    def tell(part: str, done: int, total: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at < LINE_EVERY_S:
            return
        said_at = now
        rate = done / (now - began)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        say(f"{part}: {_words(done, total, rate, unit)}{left}")

    yield tell


def _words(done: int, total: int, per_s: float, unit: Unit) -> str:
    of = f"{done / unit.size:,.0f} of {total / unit.size:,.0f} {unit.name}"
    return f"{of}, {per_s / unit.size:,.0f}{unit.per_s}"
