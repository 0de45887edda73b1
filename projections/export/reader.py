"""Reads an exported file row by row, however damaged, in constant memory."""

import csv
import io
import re
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from events.envelope import Recorded
from projections.export.manifest import COLUMNS, Format

LINE_BYTES_MAX = 1 << 20
"""No event is nearly as long."""


class Unreadable(msgspec.Struct, frozen=True):
    place: str
    message: str


Row = Recorded | Unreadable

_NUMBER = re.compile("-?[1-9][0-9]{0,18}|0")
_HEX = re.compile("([0-9a-f]{2})+")
_EXECUTED = re.compile("[=+@\t\r'-]")
"""What a spreadsheet takes for a formula begins so; we put an apostrophe before it."""


Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+\Z")]


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    position: int
    stream: str
    version: int
    type: str
    data: msgspec.Raw
    key: str | None
    body_hash: Hex | None
    command_events: int | None
    writer: str | None
    recorded_at_us: int
    hash: Hex


def rows(path: Path, form: Format) -> Iterator[Row]:
    """Rows of a file, in its order. Raises OSError."""
    return _jsonl(path) if form == "jsonl" else _csv(path)


def sha256_of(path: Path) -> str:
    """Raises OSError."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _jsonl(path: Path) -> Iterator[Row]:
    decode, encode = msgspec.json.Decoder(_Line).decode, msgspec.json.Encoder().encode
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), start=1):
            if line is None:
                yield Unreadable(f"line {number}", f"is longer than {LINE_BYTES_MAX} bytes")
                return
            if not line.endswith(b"\n"):
                yield Unreadable(f"line {number}", "has no end: the file is cut off in it")
                return
            try:
                row = decode(line)
                if encode(row) + b"\n" != line:
                    raise ValueError(
                        "it is not written as we write it: a field twice, or numbers in another form"
                    )
                body_hash = None if row.body_hash is None else bytes.fromhex(row.body_hash)
                yield Recorded(
                    row.position, row.stream, row.version, row.type, str(memoryview(row.data), "utf-8"),
                    row.key, body_hash, row.command_events, row.writer, row.recorded_at_us,
                    bytes.fromhex(row.hash),
                )  # fmt: skip
            except (msgspec.DecodeError, ValueError, OverflowError) as error:
                yield Unreadable(f"line {number}", f"cannot be read: {error}")


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines with their ends; None for one that is too long, which ends it."""
    while line := file.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            yield None
            return
        yield line


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LINE_BYTES_MAX)
    with path.open("rb") as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        reader = csv.reader(text, strict=True)
        try:
            if next(reader, None) != list(COLUMNS):
                yield Unreadable("line 1", f"does not name the columns {', '.join(COLUMNS)}")
                return
            for cells in reader:
                yield _from_text(f"line {reader.line_num}", cells)
        except (csv.Error, UnicodeDecodeError) as error:
            yield Unreadable(f"line {reader.line_num + 1}", f"cannot be read: {error}")


def _from_text(place: str, cells: list[str]) -> Row:
    try:
        position, stream, version, type_name, data, key, body_hash, events, writer, time_us, digest = cells
        return Recorded(
            _number(position), plain_text(stream), _number(version), plain_text(type_name), plain_text(data),
            plain_text(key) or None, _bytes(body_hash) if body_hash else None,
            _number(events) if events else None, plain_text(writer) or None, _number(time_us), _bytes(digest),
        )  # fmt: skip
    except ValueError as error:
        return Unreadable(place, f"cannot be read: {error}")


def _number(cell: str) -> int:
    if not _NUMBER.fullmatch(cell):
        raise ValueError(f"{cell!r} is no number as we write it")
    return int(cell)


def _bytes(cell: str) -> bytes:
    if not _HEX.fullmatch(cell):
        raise ValueError(f"{cell!r} is no hash as we write it")
    return bytes.fromhex(cell)


def plain_text(cell: str) -> str:
    """The text of a cell; one that a spreadsheet would execute has an apostrophe before it."""
    if cell.startswith("'") and _EXECUTED.match(cell[1:]):
        return cell[1:]
    if _EXECUTED.match(cell):
        raise ValueError(f"{cell!r} would be executed by a spreadsheet: we put an apostrophe before that")
    return cell
