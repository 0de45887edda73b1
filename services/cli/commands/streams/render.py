"""The streams' status as a person and as a program reads it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from services.cli.timespec import gap
from services.streams.status import ConsumerLine, ReaderLine, Status, StreamLine

Row = dict[str, Any]


def rows(found: Status) -> list[Row]:
    """Streams, readers and consumers one after another, told apart by `kind`; seconds as numbers."""
    of_log = {"head": found.head, "epoch": found.epoch or None}
    log: Row = {"kind": "log", **of_log, "open_jobs": found.open_jobs, "oldest_open_s": found.oldest_open_s,
                "redis": found.redis or "ok"}  # fmt: skip
    lists: tuple[tuple[str, list[Any]], ...] = (
        ("stream", found.streams), ("reader", found.readers), ("consumer", found.consumers),
    )  # fmt: skip
    return [log, *({"kind": kind, **msgspec.to_builtins(line)} for kind, lines in lists for line in lines)]


def tables(found: Status) -> Iterator[tuple[str, list[Row]]]:
    """The same as titled tables; what is empty is left out."""
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
    """`47.5 MB`, `3 kB`."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1000:.0f} kB"
