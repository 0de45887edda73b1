"""Migrations: numbered SQL files, each applied once, under one lock.

Own code rather than a library: the maintained ones bring a second database driver (psycopg) or an ORM.

A package that owns tables keeps `NNNN_name.sql` files in a `migrations` package. A file that was applied must
not change. How locks are waited for: docs/decisions/migration-runner.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from importlib.resources import files
from typing import TypeVar

import asyncpg
import structlog

from ledger.errors import IntegrityError, MigrationError
from ledger.migrations.statements import NO_TRANSACTION, statements, touches_log
from ledger.postgres import READ_WRITE, Connection, require_session

logger = structlog.get_logger()

T = TypeVar("T")
Completion = Callable[[Connection], Awaitable[list[str]]]
"""What is made of the code and not of a file, in one transaction: the names of what was lacking."""

_LOCK = 7_300_001
LOCK_TIMEOUT_S = 2.0
"""Longest wait for a lock.

Behind a migration that waits for a lock, everything waits: it gives up before an append does.
"""
_ATTEMPTS = 30
_APPEND_LOCK = "ledger.append_lock"
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    package text NOT NULL, name text NOT NULL, sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (package, name))
"""


async def migrate(
    database_url: str, packages: Sequence[str] = ("ledger.migrations",), complete: Completion | None = None
) -> list[str]:
    """Apply missing migrations, each in its own transaction, then `complete`; the names applied.

    Needs the database's owner with CREATEROLE, or a superuser. Raises IntegrityError when an applied file
    has changed since, MigrationError when one cannot be applied. A newer version's migrations stay, with a
    warning.
    """
    connection = await asyncpg.connect(database_url, target_session_attrs=READ_WRITE)
    try:
        await require_session(connection)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        with _explained("schema_migrations"):
            await connection.execute(_TABLE)
        applied = await _applied(connection)
        done: list[str] = []
        for package in packages:
            for name, sql in migration_files(package):
                digest = sha256(sql.encode()).hexdigest()
                stored = applied.get((package, name))
                if stored is None:
                    await _apply(connection, package, name, sql, digest)
                    done.append(f"{package}/{name}")
                elif stored != digest:
                    raise IntegrityError(f"{package}/{name} was applied and has changed since; restore it")
        if complete is not None:
            with _explained("the read models"):
                done += await _patiently(connection, partial(complete, connection), "the read models")
        if newer := [f"{p}/{name}" for p, name in applied if p in packages and name not in names(p)]:
            logger.warning("migrations_unknown", names=newer, reason="a newer version has applied them")
        return done
    finally:
        await connection.close()


def migration_files(package: str) -> list[tuple[str, str]]:
    return [(name, (files(package) / name).read_text("utf-8")) for name in names(package)]


def names(package: str) -> list[str]:
    return sorted(entry.name for entry in files(package).iterdir() if entry.name.endswith(".sql"))


async def pending(
    database_url: str, packages: Sequence[str] = ("ledger.migrations",)
) -> list[tuple[str, str, str]]:
    """Package, name and SQL of each migration that `migrate` would apply."""
    connection = await asyncpg.connect(database_url)
    try:
        there = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        applied = await _applied(connection) if there else {}
    finally:
        await connection.close()
    return [(p, name, sql) for p in packages for name, sql in migration_files(p) if (p, name) not in applied]


async def _applied(connection: Connection) -> dict[tuple[str, str], str]:
    rows = await connection.fetch("SELECT package, name, sha256 FROM schema_migrations")
    return {(row["package"], row["name"]): row["sha256"] for row in rows}


async def _apply(connection: Connection, package: str, name: str, sql: str, digest: str) -> None:
    async def record() -> None:
        done = "INSERT INTO schema_migrations (package, name, sha256) VALUES ($1, $2, $3)"
        await connection.execute(done, package, name, digest)

    async def whole() -> None:
        if touches_log(sql) and await connection.fetchval("SELECT to_regclass($1)::text", _APPEND_LOCK):
            # First, as every append does: no cycle.
            await connection.execute(f"LOCK TABLE {_APPEND_LOCK} IN EXCLUSIVE MODE")
        await connection.execute(sql)
        await record()

    with _explained(f"{package}/{name}"):
        if sql.startswith(NO_TRANSACTION):
            for statement in statements(sql):
                await connection.execute(statement)
            await record()
        else:
            await _patiently(connection, whole, f"{package}/{name}")
    logger.info("migration_applied", package=package, name=name)


async def _patiently(connection: Connection, work: Callable[[], Awaitable[T]], name: str) -> T:
    """Do it in one transaction, again when a lock does not come."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {round(LOCK_TIMEOUT_S * 1000)}")
                return await work()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if attempt == _ATTEMPTS:
                raise
            logger.warning("migration_waits", name=name, attempt=attempt, reason=str(error))
            await asyncio.sleep(LOCK_TIMEOUT_S)  # what has queued behind goes first
    raise AssertionError("unreachable")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"{name} cannot be applied: {error}; is this the database of another program, or of another "
            "version? It needs the database's owner with CREATEROLE who made our roles, or a superuser"
        ) from error
