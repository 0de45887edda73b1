"""Pipelined Postgres statements in one message, which asyncpg cannot send.

Each round trip under the append lock costs the whole system. asyncpg connects (TLS, passwords, addresses,
timeouts); then this takes its socket over and speaks the extended query protocol
(https://www.postgresql.org/docs/current/protocol-flow.html) with prepared statements. Errors are asyncpg's
own classes.
"""

import asyncio
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any, cast

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Row = list[bytes | None]
"""Columns in the text format, as Postgres writes them."""

Results = list[list[Row]]
"""The rows of each statement."""

_INT16 = Struct(">h")
_INT32 = Struct(">i")
_HEAD = Struct(">ci")
_NONE = _INT32.pack(-1)

SYNC = b"S\0\0\0\4"
_EXECUTE = b"E\0\0\0\x09\0\0\0\0\0"
_TERMINATE = b"X\0\0\0\4"
_HEAD_BYTES = 5


def parse(name: str, sql: str) -> bytes:
    body = name.encode() + b"\0" + sql.encode() + b"\0\0\0"
    return b"P" + _INT32.pack(4 + len(body)) + body


def execute(name: str, *values: bytes | None, binary: bytes = b"") -> bytes:
    """Execute a prepared statement. `binary` has one byte per value: 1 for binary, else text."""
    formats = b"".join([b"\0\1" if flag else b"\0\0" for flag in binary])
    parts = [
        b"\0" + name.encode() + b"\0",
        _INT16.pack(len(binary)) + formats + _INT16.pack(len(values)),
    ]
    for value in values:
        if value is None:
            parts.append(_NONE)
        else:
            parts.append(_INT32.pack(len(value)))
            parts.append(value)
    parts.append(b"\0\0")
    body = b"".join(parts)
    return b"".join((b"B", _INT32.pack(4 + len(body)), body, _EXECUTE))


class PipelinedConnection(asyncio.Protocol):
    """Connection for pipelines, given up after `answer_s_max` seconds without an answer."""

    def __init__(self, connection: "Connection", *, answer_s_max: float = 10) -> None:
        self._connection = connection
        self._transport = cast(asyncio.Transport, connection._transport)  # type: ignore[attr-defined]
        self._waiting: deque[asyncio.Future[Results]] = deque()
        self._buffer = bytearray()
        self._rows: list[Row] = []
        self._results: Results = []
        self._error: Exception | None = None
        self._lost = False
        self._answer_s_max = answer_s_max
        self._heard_at_s = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._transport.set_protocol(self)

    @property
    def closed(self) -> bool:
        return self._lost or self._transport.is_closing()

    def ask(self, *messages: bytes) -> "asyncio.Future[Results]":
        """Send; a future of each statement's rows, or the first error."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Results] = loop.create_future()
        if self.closed:
            future.set_exception(asyncpg.InterfaceError("connection is closed"))
            return future
        if not self._waiting:
            self._heard_at_s = loop.time()
        self._waiting.append(future)
        if self._watch is None:
            self._watch = loop.call_later(self._answer_s_max, self._look)
        self._transport.write(b"".join((*messages, SYNC)))
        return future

    def terminate(self) -> None:
        self._transport.abort()
        self._connection.terminate()

    def close(self) -> None:
        if not self.closed:
            self._transport.write(_TERMINATE)
            self._transport.close()
        self._connection.terminate()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = None
        if self._waiting and not self._lost:
            left_s = self._heard_at_s + self._answer_s_max - loop.time()
            if left_s <= 0:
                self._error = self._error or TimeoutError(f"no answer in {self._answer_s_max} s")
                self._transport.abort()
            else:
                self._watch = loop.call_later(left_s, self._look)

    def data_received(self, data: bytes) -> None:
        self._heard_at_s = asyncio.get_running_loop().time()
        self._buffer += data
        buffer, start = self._buffer, 0
        while len(buffer) - start >= _HEAD_BYTES:
            kind, size = _HEAD.unpack_from(buffer, start)
            end = start + 1 + size
            if len(buffer) < end:
                break
            if kind == b"D":
                self._rows.append(_row(buffer, start + _HEAD_BYTES))
            elif kind == b"C":
                self._results.append(self._rows)
                self._rows = []
            elif kind == b"Z":
                self._answer()
            elif kind == b"E":
                self._error = self._error or _error(bytes(buffer[start + _HEAD_BYTES : end]))
            start = end
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._watch is not None:
            self._watch.cancel()
        self._connection.terminate()
        error = self._error or asyncpg.ConnectionDoesNotExistError("connection was closed")
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)
                future.exception()  # marks it as seen: for a second question nobody may be waiting any more

    def _answer(self) -> None:
        future, error, results = self._waiting.popleft(), self._error, self._results
        self._error, self._results, self._rows = None, [], []
        if future.done():
            return  # whoever asked has given up
        if error is not None:
            future.set_exception(error)
            future.exception()
        else:
            future.set_result(results)


def _row(buffer: bytearray, at: int) -> Row:
    (count,) = _INT16.unpack_from(buffer, at)
    at += 2
    row: Row = []
    for _ in range(count):
        (size,) = _INT32.unpack_from(buffer, at)
        at += 4
        if size < 0:
            row.append(None)
        else:
            row.append(bytes(buffer[at : at + size]))
            at += size
    return row


def _error(body: bytes) -> Exception:
    fields = {
        field[:1].decode(): field[1:].decode("utf-8", "replace") for field in body.split(b"\0") if field
    }
    new: Any = asyncpg.PostgresError.new
    return cast(Exception, new(fields))
