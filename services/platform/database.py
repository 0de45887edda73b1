"""Postgres connections of every process but the ledger's appender.

As the login of DATABASE_URL, whose rights are the process's, in UTC, with timeouts on everything, so that a
frozen process or network holds nothing for long. `json` columns arrive as text: an event's exact text is what
its hash covers.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog

from ledger.errors import LedgerError
from ledger.postgres import READ_WRITE, Connection, Pool, connect_in_turn, require_session
from services.migrations import compare
from services.platform.errors import StartError, UnsafeDatabaseError, explain
from services.platform.settings import Settings

logger = structlog.get_logger()

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 20.0
TRANSACTION_TIMEOUT = "30s"
"""Of a pool. Neither other timeout ends the session of a process that froze between two messages of a
statement: it holds its locks as if it were at work."""
UNUSABLE = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What connecting raises: no answer, no name, a refusal, what is no Postgres. See `start_error`."""

_SERVER_SETTINGS = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "15s",
    "transaction_timeout": "0",  # the login has five seconds, for appends: walks take longer
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


async def create_pool(settings: Settings, name: str, *, min_size: int = 1, max_size: int = 8) -> Pool:
    """Pool of connections named `neurocards-<name>`. Raises StartError.

    Each connection is checked to commit durably and to take writes, also later: one that can only read may be
    a replica that is behind. The first has to lead to our tables.
    """
    try:
        pool = await asyncpg.create_pool(
            settings.require_database_url(),
            min_size=min_size,
            max_size=max_size,
            connect=connect_in_turn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            max_inactive_connection_lifetime=300,
            init=partial(check_connection, settings),
            setup=_require_writable,
            reset=_keep_session,
            target_session_attrs=READ_WRITE,
            server_settings=server_settings(name) | {"transaction_timeout": TRANSACTION_TIMEOUT},
        )
        async with AsyncExitStack() as undo:
            undo.push_async_callback(pool.close)
            if missing := (await compare(pool)).missing:
                raise StartError(f"the database lacks {', '.join(missing)}; run `neurocards migrate`")
            undo.pop_all()
    except UNUSABLE as error:
        raise start_error(error) from error
    return pool


async def reading_pool(settings: Settings, name: str, *, max_size: int = 8) -> Pool:
    """Pool whose transactions only read; a database that takes no writes will do. Raises StartError."""
    try:
        return await asyncpg.create_pool(
            settings.require_database_url(),
            min_size=1,
            max_size=max_size,
            connect=connect_in_turn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            max_inactive_connection_lifetime=300,
            reset=_keep_session,
            server_settings=server_settings(name) | {"default_transaction_read_only": "on"},
        )
    except UNUSABLE as error:
        raise start_error(error) from error


async def patient_pool(settings: Settings, name: str) -> Pool:
    """Pool for a command that reads the whole log: without statement timeout."""
    patient = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    try:
        return await asyncpg.create_pool(
            settings.require_database_url(),
            min_size=1,
            max_size=4,
            connect=connect_in_turn,
            timeout=CONNECT_TIMEOUT_S,
            init=partial(check_connection, settings),
            server_settings=server_settings(name) | patient,
        )
    except UNUSABLE as error:
        raise start_error(error) from error


async def connect(
    settings: Settings, name: str, *, writes: bool = True, session: bool = False
) -> "asyncpg.Connection[asyncpg.Record]":
    """Dedicated connection. Read-only ones only without `writes`. Raises StartError.

    `session`: to LISTEN or to hold a session's lock, which no pooler between may end: DATABASE_DIRECT_URL.
    """
    try:
        connection = await connect_in_turn(
            (settings.database_direct_url if session else None) or settings.require_database_url(),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=server_settings(name),
            target_session_attrs=READ_WRITE if writes else None,
        )
        try:
            await check_connection(settings, connection)
            if session:
                await require_session(connection)
        except BaseException:
            connection.terminate()
            raise
    except (*UNUSABLE, LedgerError) as error:
        raise start_error(error) from error
    return connection


def server_settings(name: str, role: str | None = None) -> dict[str, str]:
    named = {"application_name": f"neurocards-{name}"[:63], **_SERVER_SETTINGS}
    return named | ({"role": role} if role else {})


async def _keep_session(connection: Any) -> None:
    """Spare a round trip: our statements leave no settings, locks, LISTENs.

    asyncpg still rolls back a transaction left open.
    """


async def _require_writable(connection: Connection) -> None:
    """Before each use: a full disk turns sessions read-only; the pool drops them."""
    if getattr(connection.get_settings(), "default_transaction_read_only", "off") == "on":
        raise asyncpg.ReadOnlySQLTransactionError("this connection can only read")


async def check_connection(settings: Settings, connection: Connection) -> None:
    """Check what a pooler may change: durability, login, time limits. Raises UnsafeDatabaseError."""
    told = await connection.fetchrow(
        "SELECT current_setting('synchronous_commit'), session_user::text, current_setting('lock_timeout')"
    )
    durable, login, limit = told or ("", "", "")
    if durable not in ("on", "remote_apply"):
        raise UnsafeDatabaseError(
            f"synchronous_commit is {durable!r}: committed credits could get lost; set it to on"
        )
    asked = unquote(urlsplit(settings.require_database_url()).username or login)
    if login != asked:
        raise UnsafeDatabaseError(
            f"a pooler logs in as {login}, where DATABASE_URL says {asked}: no user= in its [databases]"
        )
    if limit == "0":
        logger.warning(
            "time_limits_dropped", login=login, advice=f"ALTER ROLE {login} SET lock_timeout = '5s'"
        )


def start_error(error: BaseException) -> StartError:
    return StartError(explain(error) or f"Postgres cannot be used at DATABASE_URL: {error}")


async def wait_for_database(settings: Settings, *, timeout_s: float = 30) -> None:
    """Wait for Postgres. Raises StartError after `timeout_s`, at once when refused."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            connection = await connect(settings, "wait")
        except StartError as error:
            away = isinstance(error.__cause__, OSError | asyncpg.OperatorInterventionError)
            if not away or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.25)
        else:
            await connection.close()
            return
