"""`neurocards ledger journal|explain`: the events, and the story of one thing."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.connections import read
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.outside_words import sentence, words_of
from services.cli.resolve_account import read_account
from services.cli.timespec import From, To, clock, gap, iso, period

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ledger.postgres import Pool
    from projections.reports.explain import Chain
    from projections.reports.journal import Entry

Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="TYPE",
        autocompletion=shell_completion.event_types,
        help="Only events of this type; may be repeated.",
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many; `export` has no limit.")]


def journal(
    types: Types = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only a user's and its jobs' events.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only a job's, with its charge and refund.")] = None,
    payment: Annotated[str | None, typer.Option(help="Only what a payment caused.")] = None,
    start: From = None,
    end: To = None,
    kind: Annotated[str | None, typer.Option(help="Only grants, revocations … of this kind.")] = None,
    actor: Annotated[
        str | None, typer.Option(help="Only what they caused, `login:NAME` or `account:ID`; see `actions`.")
    ] = None,
    least: Annotated[
        int | None, typer.Option("--min", min=1, max=10**9, help="So many credits or more.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only with these words in the reason.")] = None,
    limit: Limit = 100,
    newest: Annotated[bool, typer.Option("--newest", help="Of more than --limit, the last ones.")] = False,
    output: Output = OutputFormat.table,
) -> None:
    """List events in order."""
    from events.codec import EVENT_TYPES
    from projections.reports.journal import Filter
    from projections.reports.journal import journal as make

    if strange := [name for name in types or () if name not in EVENT_TYPES]:
        raise typer.BadParameter(
            f"{strange[0]!r} is none; there are {', '.join(sorted(EVENT_TYPES))}", param_hint="--type"
        )
    first, last = period(start, end)

    def work(pool: Pool, account: str | None) -> Awaitable[tuple[list[Entry], bool]]:
        named = (tuple(types or ()), account, job, payment, first, last, limit, newest)
        return make(pool, Filter(*named, kind, actor, least, reason))

    entries, more = read_account("journal", user, work)
    as_row = _entry_line if output is OutputFormat.table else _entry_row
    emit([as_row(entry) for entry in entries], output)
    if more:
        say(f"there are more than {limit}: raise --limit, narrow --from and --to, or use `export`")
    elif not entries:
        say("no event matches")


def _entry_row(entry: Entry) -> dict[str, Any]:
    event = entry.recorded
    return {
        "position": event.position,
        "at": iso(event.recorded_at_us),
        "type": event.type,
        "stream": event.stream,
        "version": event.version,
        "account": entry.account,
        "job": entry.job,
        "unit": entry.unit,
        "what": entry.what,
        "key": event.key,
        "data": json.loads(event.data),
        "hash": event.hash.hex(),
    }


def _entry_line(entry: Entry) -> dict[str, Any]:
    event = entry.recorded
    return {
        "position": event.position,
        "time": clock(event.recorded_at_us),
        "type": event.type,
        "of": event.stream,
        "what": entry.what,
    }


def explain(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A job, order, payment, or a position (e.g. a charge's).")
    ],
    output: Output = OutputFormat.table,
) -> None:
    """Explain one thing: payment, grant, charge, attempts, task, video or refund, message; with times."""
    from projections.reports.explain import explain as make

    found = read("explain", lambda pool, _: make(pool, name))
    words = words_of(step.ref for step in found.steps)
    emit((_steps if output is OutputFormat.table else _step_rows)(found, words), output)
    say(_summary(found))
    if found.left_out:
        say(f"{found.left_out} jobs more drew from it and are left out")


def _summary(found: Chain) -> str:
    accounts = sorted({step.account for step in found.steps if step.account})
    whole_s = (found.steps[-1].at_us - found.steps[0].at_us) / 1e6
    of = f" of account {', '.join(accounts)}" if accounts else ""
    steps = f"{len(found.steps)} steps in {gap(whole_s)}" if len(found.steps) > 1 else "one step"
    return f"{found.kind} {found.id}{of}: {steps}"


def _gaps(found: Chain) -> list[float]:
    """Seconds since the step before."""
    times = [step.at_us for step in found.steps]
    return [0.0, *((later - earlier) / 1e6 for earlier, later in pairwise(times))]


def _step_rows(found: Chain, words: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "stage": step.stage,
            "at": iso(step.at_us),
            "gap_s": gap_s,
            "position": step.position,
            "type": step.type or None,
            "account": step.account,
            "job": step.job,
            "order": step.order,
            "payment": step.reference,
            "what": step.what,
            "words": words.get(step.ref, ""),
            "data": None if step.data is None else json.loads(step.data),
        }
        for step, gap_s in zip(found.steps, _gaps(found), strict=True)
    ]


def _steps(found: Chain, words: dict[str, str]) -> list[dict[str, Any]]:
    several = len(found.jobs) > 1
    return [
        {
            "time": clock(step.at_us),
            "gap": f"+{gap(gap_s)}" if n else "",
            "position": "" if step.position is None else step.position,
            "stage": step.stage,
            **({"job": step.job or ""} if several else {}),
            "what": ": ".join(filter(None, (step.what, sentence(words.get(step.ref, ""), 500)))),
        }
        for n, (step, gap_s) in enumerate(zip(found.steps, _gaps(found), strict=True))
    ]
