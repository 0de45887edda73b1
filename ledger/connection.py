"""The appender's own connection, and the transaction's statements on it.

The timeouts bound how long a frozen process can hold the lock: five seconds, whatever it was doing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from events.envelope import GENESIS, GENESIS_HASH, Cursor
from ledger.batch import Decided, UsedKey
from ledger.errors import LedgerError
from ledger.receipt import Receipt
from ledger.sql import query

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

    Connection = asyncpg.Connection[asyncpg.Record]
    Statement = PreparedStatement[asyncpg.Record]

SEPARATOR = "\x1f"
"""Joins a column's values; see append_insert.sql."""

APPEND_LOCK = 7_300_002

_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock({APPEND_LOCK})"
"""One simple query: the lock is a statement alone, so what is read after it sees the newest commit."""

_SERVER_SETTINGS = {
    "application_name": "neurocards-appender",
    "timezone": "UTC",
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


class HeadRead:
    """What the log says under the lock."""

    def __init__(self, rows: Sequence[asyncpg.Record]) -> None:
        self.head: Cursor = GENESIS
        self.now_us = 0
        self.hash_at_cursor: bytes | None = None
        self.used: dict[str, UsedKey] = {}
        head_time_us = 0
        for what, position, hash_, time_us, key, body_hash, command_events in rows:
            match what:
                case "key":
                    self.used[key] = UsedKey(body_hash, Receipt(position, command_events, time_us))
                case "clock":
                    self.now_us = time_us
                case "head":
                    self.head, head_time_us = Cursor(position, hash_), time_us
                case "cursor":
                    self.hash_at_cursor = hash_
        # The clock may be set back; the log's time never goes back.
        self.now_us = max(self.now_us, head_time_us)


class AppendConnection:
    """One Postgres connection that only appends."""

    def __init__(
        self, connection: "Connection", read: "Statement", insert: "Statement", streams: "Statement"
    ) -> None:
        self._connection = connection
        self._read = read
        self._insert = insert
        self._streams = streams

    @classmethod
    async def open(cls, database_url: str, role: str | None) -> "AppendConnection":
        """Connect. Raises LedgerError when Postgres would answer before a commit is durable."""
        settings = _SERVER_SETTINGS | ({"role": role} if role else {})
        connection = await asyncpg.connect(
            database_url, server_settings=settings, timeout=5, command_timeout=10
        )
        durable = await connection.fetchval("SHOW synchronous_commit")
        if durable not in ("on", "remote_apply"):
            await connection.close()
            raise LedgerError(f"synchronous_commit is {durable!r}; set it to on, or paid credits get lost")
        if connection.get_server_version().major >= 17:
            # Older servers bound only each statement and each silence between two.
            await connection.execute("SET transaction_timeout = '5s'")
        names = ("append_read", "append_insert", "streams_after")
        read, insert, streams = [await connection.prepare(query(name)) for name in names]
        return cls(connection, read, insert, streams)

    async def begin(self, keys: list[str], cursor_position: int) -> HeadRead:
        """Take the lock, then read the head, the clock and the keys."""
        await self._connection.execute(_BEGIN)
        return HeadRead(await self._read.fetch(keys, cursor_position))

    async def streams_after(self, streams: list[str], versions: list[int]) -> list[asyncpg.Record]:
        """Rows (stream, version, type, data) of each stream after its version, in order."""
        return await self._streams.fetch(streams, versions)

    async def insert(self, head: Cursor, decided: Decided) -> None:
        """Write the batch after `head`; still to be committed."""
        rows, opened = decided.rows, decided.opened
        await self._insert.fetchval(
            head.position,
            decided.now_us,
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
            decided.ended,
        )

    async def commit(self) -> None:
        await self._connection.execute("COMMIT")

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK")

    @property
    def closed(self) -> bool:
        return self._connection.is_closed()

    def terminate(self) -> None:
        """Close without asking; the server rolls back what was not committed."""
        self._connection.terminate()

    async def close(self) -> None:
        await self._connection.close(timeout=5)
