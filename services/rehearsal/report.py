"""How a run is told: progress while it goes on, then the table, the checks and what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from events.envelope import Recorded
from services.cli.output import say
from services.rehearsal.scenarios import Cycle
from services.rehearsal.verdict import Check

# A job's story for people: its events in order, with the seconds since the first.


_DATA_LENGTH_MAX = 220


def timeline(story: Sequence[Recorded]) -> str:
    """One line per event: position, seconds since the first, type, data."""
    if not story:
        return "    (no events)"
    first_us = story[0].recorded_at_us
    lines = []
    for event in story:
        data = event.data if len(event.data) <= _DATA_LENGTH_MAX else event.data[:_DATA_LENGTH_MAX] + "…"
        after_s = (event.recorded_at_us - first_us) / 1e6
        lines.append(f"    {event.position:>6} +{after_s:7.3f}s {event.type:<20} {data}")
    return "\n".join(lines)


class Watcher(Protocol):
    """Is told of each cycle that has ended."""

    def __call__(self, cycle: Cycle) -> None: ...


@contextmanager
def watching(total: int) -> Iterator[Watcher]:
    """A progress bar with rate and time left on a terminal, a line per cycle elsewhere; all on stderr."""
    if not sys.stderr.isatty():
        done = 0

        def tell(cycle: Cycle) -> None:
            nonlocal done
            done += 1
            words = f"{cycle.scenario.name}: {cycle.outcome}, {cycle.seconds} s"
            say(f"{done}/{total} cycle {cycle.number}: {words}")

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("cycles", total=total, rate="")

        def advance(cycle: Cycle) -> None:
            progress.advance(bar)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed or 0
            rate = f"{speed * 60:.0f}/min"
            progress.update(bar, description=f"cycles (last: {cycle.scenario.name})", rate=rate)

        yield advance


def rows(cycles: Sequence[Cycle]) -> list[dict[str, Any]]:
    """The table."""
    return [
        {
            "cycle": cycle.number,
            "injected": cycle.scenario.injected + (f" ({cycle.note})" if cycle.note else ""),
            "outcome": cycle.outcome,
            "before": cycle.before,
            "after": cycle.after,
            "seconds": cycle.seconds,
        }
        for cycle in cycles
    ]


def check_rows(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [{"check": check.name, "result": "; ".join(check.problems) or "ok"} for check in checks]
