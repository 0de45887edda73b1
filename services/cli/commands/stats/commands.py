"""`neurocards stats errors|times|daily|styles`: failures, job times, results of days and styles."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.commands import add_group
from services.cli.connections import read, settings_here
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.outside_words import sentence, with_words
from services.cli.timespec import FromTime, ToTime, clock, gap, time_us, timed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ledger.postgres import Pool
    from services.operations.statistics import Range
    from services.platform.settings import Settings

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S


def register(app: typer.Typer) -> None:
    commands = {"errors": errors, "times": times, "daily": daily, "styles": styles}
    add_group(app, "stats", "Errors, times, days and styles, counted from the log.", commands)


def errors(
    begin: FromTime = None,
    end: ToTime = None,
    hourly: Annotated[bool, typer.Option("--hourly", help="Each hour for itself.")] = False,
    output: Output = OutputFormat.table,
) -> None:
    """Count failures by class and model, with the newest sentence. Default: the last 24 hours.

    Hours count whole. A job whose last submission failed counts in both columns.
    """
    from services.operations import statistics

    within = _range(begin, end, _DAY_S)
    rows = with_words(
        _read("error_stats", lambda pool: statistics.errors(pool, within, hourly=hourly)), "ref"
    )
    as_table = output is OutputFormat.table
    emit([_error_line(row, hourly) if as_table else timed(row) for row in rows], output)
    failed = sum(row["jobs_failed"] for row in rows)
    say(f"{failed} jobs failed from {clock(within.begin_us)} to {clock(within.end_us)} UTC, whole hours")


def times(
    begin: FromTime = None,
    end: ToTime = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="MODEL", autocompletion=shell_completion.models, help="Only this one."
        ),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Show how long ended jobs spent in each state, by model. Default: the last 24 hours.

    `retrying` is of the jobs that had to. `one video` is from the provider's acceptance to the stored video.
    """
    from services.operations import statistics

    within = _range(begin, end, _DAY_S)
    rows = _read("job_times", lambda pool: statistics.times(pool, within, model))
    emit([_time_line(row) for row in rows] if output is OutputFormat.table else rows, output)
    ended = next((row["jobs"] for row in rows if row["part"] == "in all"), 0)
    say(f"{ended} jobs ended from {clock(within.begin_us)} to {clock(within.end_us)} UTC")


def daily(begin: FromTime = None, end: ToTime = None, output: Output = OutputFormat.table) -> None:
    """Sum up each UTC day: people, orders, videos, credits, money. Default: the last 14 days.

    `cost`: what the videos cost in the provider's credits, by today's catalogue. A margin needs MARGIN_RATES.
    """
    from services.generation.catalogue import load_catalogue
    from services.operations import statistics

    within = _range(begin, end, 13 * _DAY_S)
    found = _read("daily", lambda pool: statistics.days(pool, within))
    rates = statistics.parse_rates(settings_here().margin_rates)
    if output is OutputFormat.table and found:
        found = [*found, statistics.sum_of(found)]
    rows = [statistics.day_row(day, load_catalogue(), rates) for day in found]
    emit([_day_line(row) for row in rows] if output is OutputFormat.table else rows, output)
    if any(sum(row["test_revenue_minor"].values()) for row in rows):
        say("there is test money too, which is not counted; see -o json")


def styles(begin: FromTime = None, end: ToTime = None, output: Output = OutputFormat.table) -> None:
    """Count videos and ratings by style. Default: jobs that ended in the last 30 days.

    `liked` are ratings above 3 stars; the chat's thumbs give 5 and 1.
    """
    from services.operations import statistics

    within = _range(begin, end, 30 * _DAY_S)
    emit(_read("job_status", lambda pool: statistics.styles(pool, within)), output)


def _range(begin: str | None, end: str | None, default_s: int) -> Range:
    from services.operations.statistics import Range

    end_us = time_us(end, "--to") if end is not None else int(time.time() * 1e6)
    begin_us = time_us(begin, "--from") if begin is not None else end_us - default_s * 1_000_000
    if begin_us >= end_us:
        raise typer.BadParameter("--from must be before --to")
    return Range(begin_us, end_us)


def _read(projection: str, work: Callable[[Pool], Awaitable[list[Any]]]) -> list[Any]:
    """Run a query; warn when the projection lacks the newest events."""
    from services.operations.statistics import behind

    async def both(pool: Pool, _: Settings) -> tuple[int, list[Any]]:
        return await behind(pool, projection), await work(pool)

    lacking, rows = read("stats", both)
    if lacking:
        say(f"{projection} is {lacking:,} events behind the log: the newest are not counted yet")
    return rows


def _error_line(row: dict[str, Any], hourly: bool) -> dict[str, Any]:
    hour = {"hour": clock(row["hour_at_us"])[:13]} if hourly else {}
    return hour | {
        "class": row["error_class"],
        "model": row["model"],
        "jobs": row["jobs_failed"],
        "submissions": row["submissions_failed"],
        "newest": clock(row["last_at_us"]),
        "newest_sentence": " ".join(filter(None, (row["code"], sentence(row["words"])))),
    }


def _time_line(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name.removesuffix("_s"): gap(row[name]) for name in ("p50_s", "p95_s", "p99_s", "max_s")}
    return {"model": row["model"] or "all", "state": row["part"], "jobs": row["jobs"]} | shown


def _day_line(row: dict[str, Any]) -> dict[str, Any]:
    revenue, success, margin = row["revenue_minor"], row["success"], row["margin_minor"]
    return {
        "day": row["day"],
        "people": row["registrations"],
        "orders": row["orders"],
        "videos": row["videos"],
        "failed": row["failures"],
        "success": "" if success is None else f"{success:.1%}",
        "gifts": row["gifts"],
        **{name: row[name] for name in ("granted", "sold", "charged", "refunded", "revoked", "expired")},
        "rubles": _hundredths(revenue["RUB"]),
        "stars": revenue["XTR"],
        "cost": row["provider_credits"],
        "margin": "" if margin is None else _hundredths(margin),
    }


def _hundredths(minor: int) -> str:
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02}"
