"""Measuring and printing: rates, percentiles, and each figure beside its limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

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
    Console(width=140).print("", table)
