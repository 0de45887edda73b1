"""Renders the facts for a terminal of any size. Pure.

Red needs an operator, yellow may soon. Parts stand side by side where there is room, else one below the
other, the most telling first, and what does not fit is cut off at the end.
"""

from collections.abc import Sequence
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.cli.output import cell
from services.cli.timespec import gap
from services.cli.top.model import Facts, InPostgres, Provider, Pulse
from services.streams.status import CONTRADICTIONS, ConsumerLine, ReaderLine, StreamLine

WIDE: Final = 110
"""Columns from which on parts stand side by side."""
LATE_S: Final = 60.0
SLOW_S: Final = 5.0
STATES: Final = ("queued", "writing", "submitting", "rendering", "retrying")
_SHOWN: Final = 12


def frame(facts: Facts, pulse: Pulse, width: int, hint: str = "") -> RenderableType:
    parts: list[RenderableType] = [_head(facts, hint), *_troubles(facts)]
    log = facts.log
    if log is None:
        return Group(*parts)
    left = [_part("throughput", _throughput(log, pulse)), _part("unfinished jobs", _jobs(log))]
    right = [_part("provider", _provider(facts.provider)), _part("models", _models(log))]
    followers = _part("who follows the log", _readers(facts.readers))
    workers = _part("workers", _workers(facts.seats, log))
    errors = _part("errors of the last 15 minutes, counted by whole hours", _errors(log))
    if width >= WIDE:
        parts += [_beside(Group(*left), Group(*right)), _beside(followers, workers), errors]
    else:
        parts += [*left, followers, errors, *right, workers]
    return Group(*parts)


def _head(facts: Facts, hint: str) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    at = f"{facts.taken_at[:19].replace('T', ' ')} UTC, looked in {gap(facts.look_s)}"
    told = Text(" · ".join(filter(None, (at, hint))), "dim")
    line.add_row(Text.assemble(("neurocards", "bold"), f"  log at {facts.head:,}"), told)
    return line


def _troubles(facts: Facts) -> list[RenderableType]:
    found = [facts.postgres or "", facts.redis or ""]
    if facts.postgres or facts.redis:
        found.append("what is shown of it is what was seen last")
    found += [f"the stream {line.stream}: {line.tail}" for line in facts.streams if _is_wrong(line)]
    found += [f"{line.reader} has applied what the log does not hold: run `neurocards recover`"
              for line in facts.readers if not line.held]  # fmt: skip
    if facts.log is not None and facts.log.waiting.problems:
        told = ", ".join(f"{count} {kind}" for kind, count in facts.log.waiting.problems.items())
        found.append(f"verification found {told}: run `neurocards ledger verify`")
    return [Text(f" {words} ", "bold white on red") for words in found if words]


def _is_wrong(line: StreamLine) -> bool:
    return line.tail in CONTRADICTIONS or line.tail in ("missing", "lacks unfinished jobs")


def _throughput(log: InPostgres, pulse: Pulse) -> RenderableType:
    of = log.throughput
    table = _grid()
    table.add_row("events/s", f"{of.per_s(of.events):,.1f}")
    if pulse.now is not None:
        table.add_row("now", Text(f"{pulse.now:,.1f} {pulse.bars()}", "cyan"))
    jobs = f"{of.per_s(of.jobs_queued):,.2f} ordered · {of.per_s(of.videos):,.2f} made · "
    failed = (f"{of.per_s(of.failures):,.2f} failed", "yellow" if of.failures else "")
    table.add_row("jobs/s", Text.assemble(jobs, failed))
    table.add_row("submissions/s", f"{of.per_s(of.submissions):,.2f}")
    table.add_row("over", f"the last {gap(of.seconds)}: {of.events:,} events")
    return table


def _jobs(log: InPostgres) -> RenderableType:
    table = _grid()
    states = [*STATES, *(state for state in log.jobs if state not in STATES)]
    told = " · ".join(f"{log.jobs[state]:,} {state}" for state in states if log.jobs.get(state))
    table.add_row(f"{sum(log.jobs.values()):,}", told or "none")
    if (oldest := log.oldest) is not None:
        left = (
            f"{gap(oldest.left_s)} left" if oldest.left_s > 0 else f"{gap(-oldest.left_s)} over its deadline"
        )
        color = "red" if oldest.left_s <= 0 else "yellow" if oldest.left_s < oldest.age_s / 4 else ""
        words = f"{gap(oldest.age_s)}, {left}\n{oldest.job}, {oldest.state} {oldest.model}"
        table.add_row("oldest", Text(words, color, overflow="fold"))
    waiting = log.waiting
    table.add_row("waiting", f"taps {waiting.updates:,} · messages to send {waiting.messages:,}")
    letters = Text(f"dead letters {waiting.dead_letters:,}", "yellow" if waiting.dead_letters else "")
    verified = "never" if waiting.verified_s is None else f"{gap(waiting.verified_s)} ago"
    late = waiting.verified_s is None or waiting.verified_s > 3600
    table.add_row("ledger", Text.assemble(letters, " · verified ", (verified, "yellow" if late else "")))
    return table


def _readers(readers: Sequence[ReaderLine]) -> RenderableType:
    table = _table("reader", ">lag", ">oldest not applied", ">pending", ">oldest pending")
    for line in readers:
        color = _by_age(line.lag_s)
        table.add_row(
            cell(line.reader), _number(line.lag), Text(_gap(line.lag_s), color), _number(line.pending),
            _gap(line.oldest_pending_s), style="" if line.lag or line.pending else "dim",
        )  # fmt: skip
    return table


def _provider(provider: Provider | None) -> RenderableType:
    if provider is None:
        return Text("not seen yet", "dim")
    table = _table("account", ">credits", f">created in {provider.window_s:g} s", "")
    for account in provider.accounts:
        read = "" if account.read_s is None else f"read {gap(account.read_s)} ago"
        rests = Text(f"rests {gap(account.rests_s)}", "yellow") if account.rests_s else Text(read, "dim")
        credits = "" if account.credits is None else f"{account.credits:,.1f}"
        table.add_row(account.account, credits, f"{account.creations} of {provider.creations_max}", rests)
    if not provider.accounts:
        return Text("maintenance has read no balance yet", "dim")
    return Group(table, f"{provider.turns_waited_for:,} submissions wait for their turn")


def _models(log: InPostgres) -> RenderableType:
    if not log.models:
        return Text("all available", "green")
    table = _table("model", "state", ">for", ">rests", "why")
    for line in log.models:
        why = f"{line.set_by}: {line.reason}" if line.reason else line.set_by
        rests = "until resumed" if line.rests_s is None else gap(line.rests_s)
        table.add_row(cell(line.model), Text(line.state, "red"), gap(line.since_s), rests, cell(why))
    return table


def _workers(seats: Sequence[ConsumerLine], log: InPostgres) -> RenderableType:
    if not seats and not log.processes:
        return Text("nobody works", "red" if log.jobs else "dim")
    seated = _table("seat", ">holds", "")
    for line in seats[:_SHOWN]:
        empty = line.renewed_s is None
        color = "red" if empty and line.pending else "dim" if empty else ""
        words = "empty" if line.renewed_s is None else f"renewed {gap(line.renewed_s)} ago"
        seated.add_row(line.consumer, _number(line.pending), Text(words, color))
    _and_more(seated, len(seats))
    working = _table("process", "jobs")
    for process in log.processes[:_SHOWN]:
        jobs = " · ".join(f"{count:,} {state}" for state, count in sorted(process.jobs.items()))
        working.add_row(cell(process.worker), jobs)
    _and_more(working, len(log.processes))
    return Group(*([seated] if seats else []), *([working] if log.processes else []))


def _errors(log: InPostgres) -> RenderableType:
    if not log.errors:
        return Text("none", "green")
    table = _table("class", "model", ">jobs", ">submissions", ">ago", "newest code")
    for line in log.errors:
        table.add_row(
            cell(line.error_class), cell(line.model), _number(line.jobs), _number(line.submissions),
            gap(line.ago_s), cell(line.code),
        )  # fmt: skip
    return table


def _part(title: str, inside: RenderableType) -> RenderableType:
    return Panel(inside, title=title, title_align="left", box=box.ROUNDED, border_style="dim", padding=(0, 1))


def _beside(left: RenderableType, right: RenderableType) -> RenderableType:
    table = Table.grid(expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    table.add_row(left, right)
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    return table


def _table(*names: str) -> Table:
    """Columns by name; a leading `>` aligns numbers right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(names):
        justify: Any = "right" if name.startswith(">") else "left"
        whole = number == 0  # what a line is about stays on one
        fold: Any = "ellipsis" if whole else "fold"
        table.add_column(name.removeprefix(">"), justify=justify, no_wrap=whole, overflow=fold)
    return table


def _and_more(table: Table, count: int) -> None:
    if count > _SHOWN:
        table.add_row(f"and {count - _SHOWN:,} more")


def _by_age(seconds: float | None) -> str:
    if seconds is None or seconds < SLOW_S:
        return ""
    return "red" if seconds >= LATE_S else "yellow"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _gap(seconds: float | None) -> str:
    return "" if seconds is None else gap(seconds)
