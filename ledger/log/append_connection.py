"""The appender's connection, and its transaction's statements.

Two round trips make an append: one begins, takes the lock and reads; one inserts and commits. The timeouts
bound how long a frozen process can hold the lock: five seconds.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import asyncpg

from events.envelope import GENESIS, GENESIS_HASH, Cursor
from ledger.errors import LedgerError
from ledger.log.batch import Decided, Receipt, UsedKey
from ledger.log.pg_pipeline import PipelinedConnection, Results, Row, execute, parse
from ledger.log.snapshots import FORMAT, PAGE_EVENTS, Snapshot, StreamEvent
from ledger.postgres import READ_WRITE
from ledger.sql import load_queries

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

query = load_queries("ledger.log")

SEPARATOR = "\x1f"
"""Joins a column's values; see the query `append_insert`."""

APPEND_LOCK = 7_300_002

ANSWER_S_MAX = 10.0
"""No answer in this time: the server or the way to it is gone."""

_SERVER_SETTINGS = {
    "application_name": "neurocards-appender",
    "timezone": "UTC",
    "synchronous_commit": "on",
    "lock_timeout": "4s",
    "statement_timeout": "4s",
    "idle_in_transaction_session_timeout": "3s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # Every read here is by an index; a plan made while the table was empty must not stay a scan.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}

_STATEMENTS: Final = {
    "BEGIN": "BEGIN",
    # A statement alone, so that what is read after it sees the newest commit.
    "LOCK": f"SELECT pg_advisory_xact_lock({APPEND_LOCK})",
    "HEAD": query("append_head"),
    "KEYS": query("append_keys"),
    "STREAMS": query("append_streams"),
    "COLD": query("append_cold"),
    "SNAPSHOT": query("append_snapshot"),
    "INSERT": query("append_insert"),
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
}
_BEGIN_AND_LOCK: Final = execute("BEGIN") + execute("LOCK")
_COMMIT: Final = execute("COMMIT")
_ROLLBACK: Final = execute("ROLLBACK")
_PAGE: Final = str(PAGE_EVENTS).encode()
_SNAPSHOT_BINARY: Final = bytes([0, 0, 0, 1, 0, 0])
_INSERT_BINARY: Final = bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0])


class HeadRead:
    """Head, clock, keys and streams read under the lock.

    `streams` is None when not asked for. Raises ReadOnlySQLTransactionError where nothing can be written:
    such a server may be behind, and even a rejection decided on it could be wrong.
    """

    def __init__(self, results: Results) -> None:
        _, _, ((now_us, position, hash_, time_us, hash_at_cursor, read_only),), keys, *streams = results
        if read_only != b"off":
            raise asyncpg.ReadOnlySQLTransactionError("this connection can only read")
        self.head: Cursor = GENESIS
        self.now_us = _int(now_us)
        self.hash_at_cursor = _bytes(hash_at_cursor) if hash_at_cursor is not None else None
        self.streams = _events(streams[0]) if streams else None
        if position is not None:
            self.head = Cursor(int(position), _bytes(hash_))
            # The clock may be set back; the log's time never goes back.
            self.now_us = max(self.now_us, _int(time_us))
        self.used = {
            _text(key): UsedKey(_bytes(body_hash), Receipt(_int(at), _int(events), _int(recorded_at_us)))
            for key, body_hash, at, events, recorded_at_us in keys
        }


class AppendConnection:
    def __init__(self, wire: PipelinedConnection) -> None:
        self._wire = wire

    @classmethod
    async def open(cls, database_url: str, role: str | None) -> "AppendConnection":
        """Connect to the primary. Raises LedgerError when it would answer before a commit is durable."""
        settings = _SERVER_SETTINGS | ({"role": role} if role else {})
        connection = await asyncpg.connect(
            database_url,
            server_settings=settings,
            timeout=5,
            command_timeout=10,
            target_session_attrs=READ_WRITE,
        )
        try:
            durable = await connection.fetchval("SHOW synchronous_commit")
            if durable not in ("on", "remote_apply"):
                raise LedgerError(
                    f"synchronous_commit is {durable!r}; set it to on, or paid credits get lost"
                )
            if connection.get_server_version().major >= 17:
                # Older servers bound only each statement and each silence between two.
                await connection.execute("SET transaction_timeout = '5s'")
            wire = PipelinedConnection(connection, answer_s_max=ANSWER_S_MAX)
            await wire.ask(*[parse(name, sql) for name, sql in _STATEMENTS.items()])
        except BaseException:
            connection.terminate()
            raise
        return cls(wire)

    def begin(
        self, keys: list[str], cursor_position: int, versions: Mapping[str, int] | None = None
    ) -> "asyncio.Future[Results]":
        """Take the lock, then read clock, head, keys, later events: for HeadRead."""
        messages = [
            _BEGIN_AND_LOCK,
            execute("HEAD", str(cursor_position).encode()),
            execute("KEYS", SEPARATOR.join(keys).encode()),
        ]
        if versions is not None:
            messages.append(_streams(versions))
        return self._wire.ask(*messages)

    async def streams_after(self, versions: Mapping[str, int]) -> list[StreamEvent]:
        (rows,) = await self._wire.ask(_streams(versions))
        return _events(rows)

    async def streams(self, streams: Sequence[str]) -> list[StreamEvent]:
        names = SEPARATOR.join(streams).encode()
        (rows,) = await self._wire.ask(execute("COLD", names, FORMAT.encode(), _PAGE))
        return _events(rows)

    def keep(self, snapshots: Iterable[Snapshot]) -> "asyncio.Future[Results]":
        """Store snapshots; only between two transactions."""
        return self._wire.ask(
            *[
                execute(
                    "SNAPSHOT",
                    one.stream.encode(), str(one.version).encode(), str(one.position).encode(), one.hash,
                    FORMAT.encode(), one.sealed,
                    binary=_SNAPSHOT_BINARY,
                )
                for one in snapshots
            ]
        )  # fmt: skip

    def append(self, head: Cursor, decided: Decided) -> "asyncio.Future[Results]":
        rows, opened = decided.rows, decided.opened
        columns = (
            str(head.position),
            str(decided.now_us),
            SEPARATOR.join([row.stream for row in rows]),
            SEPARATOR.join([str(row.version) for row in rows]),
            SEPARATOR.join([row.type for row in rows]),
            SEPARATOR.join([row.data for row in rows]),
            SEPARATOR.join([row.key or "" for row in rows]),
            b"".join([row.body_hash or GENESIS_HASH for row in rows]),
            SEPARATOR.join([str(row.command_events or "") for row in rows]),
            b"".join([row.hash for row in rows]),
            SEPARATOR.join(opened),
            SEPARATOR.join([job.account for job in opened.values()]),
            SEPARATOR.join([str(job.position) for job in opened.values()]),
            SEPARATOR.join([str(job.deadline_at_us) for job in opened.values()]),
            SEPARATOR.join(decided.ended),
        )
        values = [column if isinstance(column, bytes) else column.encode() for column in columns]
        return self._wire.ask(execute("INSERT", *values, binary=_INSERT_BINARY), _COMMIT)

    def commit(self) -> "asyncio.Future[Results]":
        return self._wire.ask(_COMMIT)

    def rollback(self) -> "asyncio.Future[Results]":
        return self._wire.ask(_ROLLBACK)

    @property
    def closed(self) -> bool:
        return self._wire.closed

    def terminate(self) -> None:
        """Close at once; the server rolls back what was not committed."""
        self._wire.terminate()

    async def close(self) -> None:
        self._wire.close()


def _streams(versions: Mapping[str, int]) -> bytes:
    after = SEPARATOR.join(map(str, versions.values()))
    return execute("STREAMS", SEPARATOR.join(versions).encode(), after.encode(), _PAGE)


def _events(rows: Sequence[Row]) -> list[StreamEvent]:
    return [(_text(s), _int(version), _text(kind), _text(data)) for s, version, kind, data in rows]


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _int(value: bytes | None) -> int:
    return int(value or 0)


def _bytes(value: bytes | None) -> bytes:
    return bytes.fromhex((value or b"")[2:].decode())
