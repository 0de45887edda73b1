"""Times and positions as a person writes and reads them. All in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.output import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from projections.reports.log_position import AsOf

METAVAR = "TIME|POSITION"

At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar=METAVAR,
        help="As it was after a position, or at an ISO 8601 time (UTC unless it has a zone). Default: now.",
    ),
]  # fmt: skip
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar=METAVAR,
        help="The first moment that counts; a date alone is its midnight. Default: the beginning.",
    ),
]  # fmt: skip
FromTime = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME",
        help="The first moment that counts, ISO 8601, UTC unless it has a zone; a date is its midnight.",
    ),
]  # fmt: skip
ToTime = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="The first moment that does not count. Default: now."),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar=METAVAR,
        help="Up to a position, which counts, or to a time, which does not: a month ends with the next one's "
        "first day. Default: now.",
    ),
]  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_POSITION_MAX = 2**63 - 1


def point(text: str | None, option: str = "--at") -> AsOf:
    """Parse --at: a time or position; None is now. Raises typer.BadParameter (exit code 2)."""
    from projections.reports.log_position import NOW, AsOf

    if text is None:
        return NOW
    text = text.strip()
    if text.isascii() and text.isdigit():
        if len(text) > 19 or int(text) > _POSITION_MAX:
            raise typer.BadParameter(f"{text:.30} is too large for a position", param_hint=option)
        return AsOf(position=int(text))
    return AsOf(time_us=time_us(text, option, also="a position (a number) or "))


def time_us(text: str, option: str | None = None, *, also: str = "") -> int:
    """Epoch µs of an ISO 8601 time or date. UTC unless it has a zone. Raises typer.BadParameter."""
    try:
        time = datetime.fromisoformat(text.strip())
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if time.year < 1900:
            raise ValueError("so early that a day before may be none")
    except (ValueError, OverflowError):
        hint = f"give {also}a time like 2026-11-30 or 2026-11-30T12:00:00+03:00"
        raise typer.BadParameter(f"{text!r} is not one: {hint}", param_hint=option) from None
    return (time - _EPOCH) // _MICROSECOND


def optional_us(text: str | None, option: str) -> int | None:
    return None if text is None else time_us(text, option)


def period(start: str | None, end: str | None) -> tuple[AsOf | None, AsOf]:
    """The points of --from and --to, both included. Raises typer.BadParameter."""
    from projections.reports.log_position import AsOf

    first = None if start is None else point(start, "--from")
    last = point(end, "--to")
    if last.time_us is not None:
        last = AsOf(time_us=last.time_us - 1)
    return first, last


def iso(time_us: int | None) -> str | None:
    """For programs: `2026-11-22T11:04:39.123456Z`."""
    if time_us is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds")[:-6] + "Z"
    except OverflowError:
        return f"{time_us}us"


def clock(time_us: int | None) -> str:
    """For people: `2026-11-22 11:04:39`."""
    text = iso(time_us)
    return "" if text is None else text[:19].replace("T", " ")


def timed(row: Mapping[str, Any], write: Callable[[int | None], str | None] = iso) -> dict[str, Any]:
    """Format a row's times (`…_us`, epoch microseconds), under names without `_us`."""
    return {
        name.removesuffix("_us"): write(value) if name.endswith("_us") else value
        for name, value in row.items()
    }


def timed_for(row: Mapping[str, Any], form: OutputFormat) -> dict[str, Any]:
    return timed(row, clock if form is OutputFormat.table else iso)


def gap(seconds: float) -> str:
    """`0.4 ms`, `3.2 s`, `4 min 10 s`, `2 d 3 h`: two units at most."""
    if seconds < 0:
        return "-" + gap(-seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms" if seconds else "0"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two(minutes, "min", rest, "s")
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _two(hours, "h", minutes, "min")
    days, hours = divmod(hours, 24)
    return _two(days, "d", hours, "h")


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"
