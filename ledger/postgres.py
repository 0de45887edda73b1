"""asyncpg's pool and connection types, and the list of transient errors."""

import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from ledger.errors import LedgerBusyError, LedgerError, LedgerUnavailableError

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Reader: TypeAlias = Connection | Pool
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection | PoolConnectionProxy
    Reader = Connection | Pool

READ_WRITE: Final = SessionAttribute.read_write
"""Of the hosts in the URL only one that takes writes; InternalClientError when there is none."""

CONNECTION_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # also for bad arguments, then a ValueError too
    asyncpg.InternalClientError,  # the backend died between two statements; no host takes writes
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.InvalidPasswordError,  # it is being exchanged: the next connection reads it anew
    asyncpg.ReadOnlySQLTransactionError,  # a replica, or a primary out of disk: another connection may do
    OSError,
    TimeoutError,
)
"""The connection is of no use any more; what was asked on it last may have happened."""

TRANSIENT: Final = (
    *CONNECTION_LOST,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    LedgerBusyError,
    LedgerUnavailableError,
)
"""A database that restarts, fails over, is full, read-only, busy or out of reach: asking again helps."""

DATABASE_ERRORS: Final = (*TRANSIENT, asyncpg.PostgresError)
"""Also what Postgres refuses for good: for a loop that has to outlive a statement that fails."""

_DATA_CLASSES: Final = ("22", "23")


_NEXT_HOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
)


async def connect_in_turn(
    dsn: str | None = None, *, timeout: float = 5.0, **options: Any
) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect to the URL's first host that will do; raises what asyncpg does.

    Each has its share of `timeout`, in seconds: asyncpg would spend all of it on one that is frozen.
    A session that only reads is never "read-write": for it that word of the URL means the primary.
    """
    reads = options.get("server_settings", {}).get("default_transaction_read_only") == "on"
    if reads and ("target_session_attrs", "read-write") in parse_qsl(urlsplit(dsn or "").query):
        options = {"target_session_attrs": SessionAttribute.primary} | options
    *others, last = each_host(dsn) if dsn else [dsn]
    share_s = timeout / (len(others) + 1)
    for url in others:
        with contextlib.suppress(*_NEXT_HOST):
            return await asyncpg.connect(url, timeout=share_s, **options)
    return await asyncpg.connect(last, timeout=share_s, **options)


def each_host(url: str) -> list[str]:
    """The URL once for each of its hosts."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    each = hosts.split(",")
    return (
        [urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in each] if len(each) > 1 else [url]
    )


async def lift_transaction_timeout(connection: Connection) -> None:
    """Let the transaction that is open last: it reads or changes much on purpose."""
    await connection.execute("SET LOCAL transaction_timeout = 0")


async def require_session(connection: Connection) -> None:
    """Refuse a pooler: behind it no session lock and no LISTEN lasts. Raises LedgerError."""
    if await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid():
        raise LedgerError(
            "a pooler such as PgBouncer stands before Postgres, and this needs a session of its own: "
            "let DATABASE_DIRECT_URL (migrate, replay, recover: DATABASE_OWNER_URL) lead to Postgres itself"
        )


def refuses_data(error: BaseException) -> bool:
    """Whether Postgres refuses the rows (class 22 or 23): retries are useless."""
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] in _DATA_CLASSES
