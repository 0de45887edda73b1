"""`neurocards streams status|verify|rebuild|trim`: the Redis streams, compared and repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands import add_group
from services.cli.connections import Servers, acting, on_servers
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.progress import walks
from services.cli.timespec import gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.streams.compare import StreamReport
    from services.streams.publisher.rebuild import Look, Rebuilt
    from services.streams.publisher.trim import Cut
    from services.streams.status import ConsumerLine, ReaderLine, Status, StreamLine

Entries = Annotated[
    int | None,
    typer.Option(
        min=1, show_default=False, help="So many of the newest events. Default: STREAM_ENTRIES_MAX."
    ),
]

Row = dict[str, Any]


def register(app: typer.Typer) -> None:
    commands = {"status": status, "verify": verify, "rebuild": rebuild, "trim": trim}
    add_group(app, "streams", "What Redis holds of the log, and putting it right.", commands)


def status(output: Output = OutputFormat.table) -> None:
    """Show both Redis streams, their readers' lag, and the workers' seats.

    1 when Redis does not answer or a stream is missing; 3 when something holds what the log does not.
    """

    found = on_servers("streams", _look)
    if output is OutputFormat.table:
        for title, table in _tables(found):
            emit(table, output, title=title)
    else:
        emit(_rows(found), output)
    say(_summary(found))
    if found.contradicted:
        say("something holds what the log does not: run `neurocards recover`")
        raise typer.Exit(ExitCode.INTEGRITY)
    if found.redis is not None or any(line.tail == "missing" for line in found.streams):
        raise typer.Exit(ExitCode.FAILURE)


async def _look(servers: Servers) -> Status:
    from services.streams.status import stream_status

    return await stream_status(servers.redis, servers.pool, lease_s=servers.settings.lease_seconds)


def _summary(found: Status) -> str:
    oldest = "" if found.oldest_open_s is None else f", the oldest for {gap(found.oldest_open_s)}"
    words = f"the log's head is {found.head}; {found.open_jobs} jobs are unfinished{oldest}"
    if found.redis is not None:
        return f"{found.redis}\nstreams, relay and workers are left out; {words}"
    return f"epoch {found.epoch or 'missing'}; {words}"


def _rows(found: Status) -> list[Row]:
    """Rows for programs, told apart by `kind`; seconds as numbers."""
    import msgspec

    of_log = {"head": found.head, "epoch": found.epoch or None}
    log: Row = {"kind": "log", **of_log, "open_jobs": found.open_jobs, "oldest_open_s": found.oldest_open_s,
                "redis": found.redis or "ok"}  # fmt: skip
    lists: tuple[tuple[str, list[Any]], ...] = (
        ("stream", found.streams), ("reader", found.readers), ("consumer", found.consumers),
    )  # fmt: skip
    return [log, *({"kind": kind, **msgspec.to_builtins(line)} for kind, lines in lists for line in lines)]


def _tables(found: Status) -> Iterator[tuple[str, list[Row]]]:
    for title, lines in (
        ("streams", [_stream(line) for line in found.streams]),
        ("who follows the log", [_reader(line) for line in found.readers]),
        ("workers' seats", [_consumer(line) for line in found.consumers]),
    ):
        if lines:
            yield title, lines


def _stream(line: StreamLine) -> Row:
    return {
        "stream": line.stream,
        "entries": line.entries,
        "first": line.first,
        "last": line.last,
        "its end": line.tail,
        "memory": _size(line.memory_bytes),
    }


def _reader(line: ReaderLine) -> Row:
    return {
        "reader": line.reader,
        "position": line.position,
        "lag": line.lag,
        "oldest not applied": _gap(line.lag_s),
        "moved": "" if line.moved_s is None else f"{gap(line.moved_s)} ago",
        "pending": line.pending,
        "oldest pending": _gap(line.oldest_pending_s),
        "": "" if line.held else "the log does not hold what it has applied",
    }


def _consumer(line: ConsumerLine) -> Row:
    seat = "empty" if line.renewed_s is None else f"renewed {gap(line.renewed_s)} ago"
    return {"worker": line.consumer, "pending": line.pending, "seat": seat}


def _gap(seconds: float | None) -> str:
    return "" if seconds is None else gap(seconds)


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1000:.0f} kB"


def verify(output: Output = OutputFormat.table) -> None:
    """Compare both streams with the log, entry by entry.

    Checks the hash chain on the way. Nothing on stdout and 0 when they agree; else what differs, and 3.
    """
    from services.cli.options import end_damaged

    report = on_servers("streams", _verify)
    say(
        f"{report.ledger_entries:,} entries of ledger ({report.first} to {report.last}) and "
        f"{report.jobs_entries:,} of jobs were compared; {report.behind:,} events are not published yet"
    )
    if report.problems:
        if report.found > len(report.problems):
            say(f"{report.found} differences were found, the first {len(report.problems)} are shown")
        end_damaged(report.problems, output)


async def _verify(servers: Servers) -> StreamReport:
    from services.platform.redis_keys import LEDGER
    from services.streams.compare import check_streams
    from services.streams.entries import position_of

    found: list[Any] = [
        *(await servers.redis.xrange(LEDGER, count=1) or ()),
        *(await servers.redis.xrevrange(LEDGER, count=1) or ()),
    ]
    begin, end = (position_of(found[0][0]) or 0, position_of(found[-1][0]) or 0) if found else (0, 0)
    with walks("streams verify", ["ledger"], max(begin - 1, 0), end) as progress:
        return await check_streams(servers.redis, servers.pool, lambda at: progress("ledger", at))


def rebuild(
    reason: Reason,
    entries: Entries = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Rebuild the ledger stream from Postgres, under the same IDs; swap it in.

    Services may run. Refused when the live stream holds what the log does not. A jobs stream that is not
    right is made anew too.
    """

    actor = acting("streams")

    async def work(servers: Servers) -> Rebuilt | None:
        return await _rebuild(servers, entries, lambda look: _show_rebuild(look, output, dry_run, yes))

    done = on_servers("streams", work)
    if done is None:
        say("the log is empty")
        return
    _note("streams_rebuilt", actor, reason, first=done.first, last=done.last, made_anew=done.made_anew)
    say(f"ledger holds {done.first} to {done.last}, as the log does; epoch {done.epoch}")


def _show_rebuild(look: Look, output: OutputFormat, dry_run: bool, yes: bool) -> None:
    anew = "" if look.reason is None else f"both made anew first, because {look.reason}"
    emit([{"stream": "ledger", "from": look.after + 1, "to": look.last, "entries": look.last - look.after,
           "before": anew}], output)  # fmt: skip
    confirm(dry_run, yes)


async def _rebuild(servers: Servers, entries: int | None, show: Any) -> Rebuilt | None:
    from services.streams.publisher.rebuild import Rebuild

    settings = servers.settings
    most = settings.stream_entries_max
    if entries is not None and entries > most:
        say(f"the relay will cut what is longer than STREAM_ENTRIES_MAX={most} again")
    rebuilding = Rebuild(
        servers.pool, servers.scripts, entries=entries or most, reach_back=settings.stream_recover_events
    )
    look = await rebuilding.look()
    show(look)
    with walks("streams rebuild", ["ledger"], look.after, look.last) as progress:
        return await rebuilding.run(lambda at: progress("ledger", at))


def trim(
    reason: Reason,
    entries: Entries = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Trim the ledger stream to its newest events, `jobs` to unfinished jobs.

    The jobs stream is cut below the oldest unfinished job. Nothing is lost: readers that need older
    events read them from Postgres.
    """
    from services.streams.publisher import trim as trimming

    actor = acting("streams")

    async def work(servers: Servers) -> tuple[int, int]:
        keep = servers.settings.stream_entries_max if entries is None else entries
        cuts = await trimming.plan(servers.scripts, servers.pool, keep)
        emit([_cut(cut) for cut in cuts], output)
        confirm(dry_run, yes)
        return await trimming.trim(servers.scripts, servers.pool, keep)

    ledger, jobs = on_servers("streams", work)
    _note("streams_trimmed", actor, reason, ledger=ledger, jobs=jobs)
    say(f"{ledger:,} entries of ledger and {jobs:,} of jobs were removed")


def _cut(cut: Cut) -> dict[str, Any]:
    return {"stream": cut.stream, "entries": cut.entries, "to_remove": cut.removed, "stays": cut.stays}


def _note(event: str, actor: str, reason: str, **facts: Any) -> None:
    """Log who did it and why: streams are no part of the ledger, so no event says so."""
    import structlog

    structlog.get_logger().warning(event, actor=actor, reason=reason, **facts)
