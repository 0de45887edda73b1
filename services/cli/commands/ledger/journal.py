"""`neurocards ledger journal`: the events themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import From, To, clock, iso, period

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from projections.reports.journal import Entry
    from services.platform.settings import Settings

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


def register(app: typer.Typer) -> None:
    app.command("journal")(journal)


def journal(
    types: Types = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only a user's and its jobs' events.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only a job's, with its charge and refund.")] = None,
    payment: Annotated[str | None, typer.Option(help="Only what a payment caused.")] = None,
    start: From = None,
    end: To = None,
    limit: Limit = 100,
    newest: Annotated[bool, typer.Option("--newest", help="Of more than --limit, the last ones.")] = False,
    output: Output = OutputFormat.table,
) -> None:
    """The events, in order."""
    from events.codec import EVENT_TYPES
    from projections.reports.journal import Filter
    from projections.reports.journal import journal as make
    from services.cli.connections import read
    from services.cli.resolve_account import resolve_account

    if strange := [name for name in types or () if name not in EVENT_TYPES]:
        raise typer.BadParameter(
            f"{strange[0]!r} is none; there are {', '.join(sorted(EVENT_TYPES))}", param_hint="--type"
        )
    first, last = period(start, end)

    async def work(pool: Pool, settings: Settings) -> tuple[list[Entry], bool]:
        account = None if user is None else await resolve_account(settings, user)
        wanted = Filter(tuple(types or ()), account, job, payment, first, last, limit, newest)
        return await make(pool, wanted)

    entries, more = read("journal", work)
    as_row = _line if output is OutputFormat.table else _row
    emit([as_row(entry) for entry in entries], output)
    if more:
        say(f"there are more than {limit}: raise --limit, narrow --from and --to, or use `export`")
    elif not entries:
        say("no event matches")


def _row(entry: Entry) -> dict[str, Any]:
    event = entry.recorded
    return {
        "position": event.position,
        "at": iso(event.recorded_at_us),
        "type": event.type,
        "stream": event.stream,
        "version": event.version,
        "account": entry.account,
        "job": entry.job,
        "what": entry.what,
        "key": event.key,
        "data": json.loads(event.data),
        "hash": event.hash.hex(),
    }


def _line(entry: Entry) -> dict[str, Any]:
    event = entry.recorded
    return {
        "position": event.position,
        "time": clock(event.recorded_at_us),
        "type": event.type,
        "of": event.stream,
        "what": entry.what,
    }
