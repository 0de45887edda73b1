"""`/downloads/{what}`: CSV or JSON lines, streamed as a ZIP together with a manifest.

The manifest says which filters were asked for, how many rows came, up to which position of the log and its
hash there, and the file's SHA-256.
"""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

import asyncpg
import msgspec
from aiohttp import web

from events.envelope import Recorded
from ledger.checkpoints.checkpoint import time_text
from ledger.checkpoints.store import hash_at
from projections.export.writer import snapshot
from projections.models.payments import Payment
from projections.reports import audit_questions
from projections.reports.log_position import AsOf, LogPosition, locate
from projections.reports.statement import statement
from projections.reports.trial_balance import BookLine, trial_balance_query
from services.dashboard.event_search import query, search
from services.dashboard.pages.audit import ABOVE, period
from services.dashboard.pages.events import filter_of
from services.dashboard.routes import Route
from services.dashboard.visit import Visit

FORMS: Final = ("csv", "jsonl")
ROWS_AT_ONCE: Final = 500
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet would execute at the beginning of a cell; it gets an apostrophe before it."""
EXCEPTIONS_MAX: Final = 1_000_000
EXCEPTION_COLUMNS: Final = ("kind", "position", "at_us", "account", "amount", "unit", "of", "words")

Row = Mapping[str, Any] | asyncpg.Record


class Manifest(msgspec.Struct, frozen=True):
    """What was downloaded. `position` is the last that counts, `head` its hash; times are ISO 8601 in UTC."""

    what: str
    file: str
    filters: dict[str, list[str]]
    rows: int
    position: int
    head: str
    size_bytes: int
    sha256: str
    made_at: str


class Content(NamedTuple):
    """Rows with the same columns, as of a moment; `rows` are some at a time, or none so far."""

    columns: tuple[str, ...]
    at: LogPosition
    rows: AsyncIterator[Sequence[Row]]


async def _events(visit: Visit) -> Content:
    """Events of a filter, the newest first, window by window."""
    wanted = filter_of(visit)
    at = await locate(visit.pool, AsOf(position=wanted.position) if wanted.position is not None else AsOf())

    async def rows() -> AsyncIterator[Sequence[Row]]:
        before: int | None = at.position
        while before is not None:
            found = await search(visit.pool, wanted, before)
            yield [_event(recorded) for recorded in found.events]
            before = found.next_position

    return Content(Recorded.__struct_fields__, at, rows())


def _event(recorded: Recorded) -> Row:
    row = {name: getattr(recorded, name) for name in Recorded.__struct_fields__}
    hashes = {name: value.hex() for name, value in row.items() if isinstance(value, bytes)}
    return row | hashes | {"data": msgspec.Raw(recorded.data.encode())}


async def _statement(visit: Visit) -> Content:
    """Movements of an account up to a position, the oldest first."""
    made = await statement(visit.pool, visit.arg("account"), None, AsOf(position=visit.int_arg("position")))
    rows = [
        {name: value for name, value in msgspec.structs.asdict(movement).items() if name != "money"}
        | {"lots": [msgspec.structs.asdict(lot) for lot in movement.lots], "balance": balance}
        | {"money": movement.money}
        for movement, balance in made.movements
    ]
    columns = tuple(dict.fromkeys(("type", "at_us", "amount", "balance", *(rows[0] if rows else ()))))

    async def pieces() -> AsyncIterator[Sequence[Row]]:
        for n in range(0, len(rows), ROWS_AT_ONCE):
            yield rows[n : n + ROWS_AT_ONCE]

    return Content(columns, made.end, pieces())


async def _payments(visit: Visit) -> Content:
    """Payments of the read model, in one snapshot."""
    state, provider = visit.arg("state") or None, visit.arg("provider") or None
    columns = tuple(name for name in Payment.__struct_fields__ if name not in ("received", "intents"))
    position = await visit.pool.fetchval(query("cursor_of"), "payments")
    at = await locate(visit.pool, AsOf(position=position))
    return Content(columns, at, _streamed(visit, query("payments_all"), state, provider))


async def _exceptions(visit: Visit) -> Content:
    start, end = period(visit)
    above = visit.int_arg("above", ABOVE) or ABOVE
    asked = await audit_questions.exceptions_query(visit.pool, above, start, end, EXCEPTIONS_MAX)
    return Content(EXCEPTION_COLUMNS, await locate(visit.pool, end), _streamed(visit, *asked))


async def _trial_balance(visit: Visit) -> Content:
    at, asked = await trial_balance_query(visit.pool, visit.moment("at"), by_account=True)
    return Content(BookLine.__struct_fields__, at, _streamed(visit, *asked))


async def _streamed(visit: Visit, sql: str, *arguments: Any) -> AsyncIterator[Sequence[Row]]:
    """Rows of a statement, in one snapshot."""
    async with snapshot(visit.pool) as connection:
        cursor = await connection.cursor(sql, *arguments)
        while rows := await cursor.fetch(ROWS_AT_ONCE):
            yield rows


CONTENTS: Final[dict[str, Callable[[Visit], Awaitable[Content]]]] = {
    "events": _events,
    "statement": _statement,
    "payments": _payments,
    "exceptions": _exceptions,
    "trial-balance": _trial_balance,
}


async def download(visit: Visit) -> web.StreamResponse:
    """Stream a ZIP of the rows and their manifest."""
    what, form = visit.part("what"), visit.choice("form", FORMS, "csv")
    if what not in CONTENTS:
        return await visit.render("missing.html", status=404, what=what)
    content = await CONTENTS[what](visit)
    name = f"{what}-{content.at.position}.{form}"
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": f'attachment; filename="{name}.zip"',
        }
    )
    await response.prepare(visit.request)
    out, hashed, count, size = _Pieces(), sha256(), 0, 0
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        with archive.open(name, "w", force_zip64=True) as file:
            async for lines, number in _written(content, form):
                if visit.request.transport is None:  # nothing may have been written for long
                    raise ConnectionResetError("whoever asked has left")
                count, size = count + number, size + len(lines)
                hashed.update(lines)
                file.write(lines)
                await response.write(out.take())
        head = await hash_at(visit.pool, content.at.position) or b""
        asked = {key: visit.request.query.getall(key) for key in visit.request.query}
        manifest = Manifest(
            what, name, asked, count, content.at.position, head.hex(), size, hashed.hexdigest(),
            time_text(await visit.pool.fetchval(query("now_us"))),
        )  # fmt: skip
        archive.writestr(f"{name}.manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
    await response.write(out.take())
    await response.write_eof()
    return response


async def _written(content: Content, form: str) -> AsyncIterator[tuple[bytes, int]]:
    """Text of some rows at a time, and how many they are."""
    if form == "csv":
        yield _csv([content.columns]), 0
    async for rows in content.rows:
        yield _lines(content.columns, rows, form), len(rows)


def _lines(columns: tuple[str, ...], rows: Sequence[Row], form: str) -> bytes:
    if form == "csv":
        return _csv([[_cell(row.get(name)) for name in columns] for row in rows])
    return b"".join(msgspec.json.encode({name: row.get(name) for name in columns}) + b"\n" for row in rows)


def _csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """As it stands in a spreadsheet: no text is a formula, what has parts is JSON."""
    if value is None or isinstance(value, bool | int):
        return value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


class _Pieces(io.RawIOBase):
    """What was written since it was taken last: a ZIP that nobody seeks in."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def write(self, data: Any) -> int:
        self._pieces += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._pieces)
        self._pieces.clear()
        return taken


ROUTES = (Route("GET", "/downloads/{what}", download),)
