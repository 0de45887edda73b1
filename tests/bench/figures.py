"""Measuring and printing: rates, percentiles, and each figure beside its limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from rich.console import Console
from rich.table import Table


class Run(msgspec.Struct):
    """What many callers came to in a while."""

    seconds: float
    latencies_s: list[float]

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the calls do not exceed."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class Figure(msgspec.Struct):
    """A row of a board: what was measured, per second, beside what it is compared with.

    `of` names the peers (see `board`) that this figure may be held against; `aim` is what the issue asks for.
    """

    what: str
    per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    aim: str = ""
    of: tuple[str, ...] = ()
    text: str = ""


def board(title: str, peers: Mapping[str, float], figures: Sequence[Figure]) -> None:
    """Print figures, each with its ratio to the peers it may be held against; `peers` are per second."""
    rows = []
    for figure in figures:
        ratios = [
            f"{figure.per_s / peers[name]:.2f} ×" if figure.per_s and name in figure.of else ""
            for name in peers
        ]
        value = figure.text or (f"{figure.per_s:,.0f}/s" if figure.per_s is not None else "")
        times = ["" if ms is None else f"{ms:,.2f}" for ms in (figure.p50_ms, figure.p99_ms)]
        rows.append((figure.what, value, *ratios, *times, figure.aim))
    named = [f"{name} {per_s:,.0f}/s" for name, per_s in peers.items()]
    show(title, ("what", "figure", *named, "p50 ms", "p99 ms", "aim"), rows)


async def callers(count: int, seconds: float, call: Callable[[int], Awaitable[object]]) -> Run:
    """`count` callers, each calling again as soon as it is answered, for so long."""
    latencies: list[float] = []
    begin = time.perf_counter()

    async def one(caller: int) -> None:
        while (start := time.perf_counter()) < begin + seconds:
            await call(caller)
            latencies.append(time.perf_counter() - start)

    await asyncio.gather(*[one(caller) for caller in range(count)])
    return Run(time.perf_counter() - begin, latencies)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table whose cells do not wrap."""
    table = Table(title=title, title_justify="left")
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*[f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row])
    Console(width=190).print("", table)
