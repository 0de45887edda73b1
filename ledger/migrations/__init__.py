"""Migrations: numbered SQL files, each applied once, under one lock.

Own code rather than a library: the maintained ones bring a second database driver (psycopg) or an ORM.

A package that owns tables keeps `NNNN_name.sql` files in a `migrations` package. A file that was applied must
not change. Until the first tag each package has one.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources import files

import asyncpg
import structlog

from ledger.errors import IntegrityError, MigrationError
from ledger.postgres import READ_WRITE, Connection

logger = structlog.get_logger()

Completion = Callable[[Connection], Awaitable[list[str]]]
"""What is made of the code and not of a file, in one transaction: the names of what was lacking."""

_LOCK = 7_300_001
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    package text NOT NULL, name text NOT NULL, sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (package, name))
"""


async def migrate(
    database_url: str, packages: Sequence[str] = ("ledger.migrations",), complete: Completion | None = None
) -> list[str]:
    """Apply missing migrations, each in its own transaction, then `complete`; the names applied.

    Needs the rights of the database's owner. Raises IntegrityError when an applied file has changed since,
    MigrationError when one cannot be applied. A newer version's migrations stay, with a warning.
    """
    connection = await asyncpg.connect(database_url, target_session_attrs=READ_WRITE)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _execute(connection, _TABLE, "schema_migrations")
        rows = await connection.fetch("SELECT package, name, sha256 FROM schema_migrations")
        applied = {(row["package"], row["name"]): row["sha256"] for row in rows}
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
            done += await _complete(connection, complete)
        if newer := [f"{p}/{name}" for p, name in applied if p in packages and name not in names(p)]:
            logger.warning("migrations_unknown", names=newer, reason="a newer version has applied them")
        return done
    finally:
        await connection.close()


def migration_files(package: str) -> list[tuple[str, str]]:
    return [(name, (files(package) / name).read_text("utf-8")) for name in names(package)]


def names(package: str) -> list[str]:
    return sorted(entry.name for entry in files(package).iterdir() if entry.name.endswith(".sql"))


async def _apply(connection: Connection, package: str, name: str, sql: str, digest: str) -> None:
    async with connection.transaction():
        await _execute(connection, sql, f"{package}/{name}")
        await connection.execute(
            "INSERT INTO schema_migrations (package, name, sha256) VALUES ($1, $2, $3)", package, name, digest
        )
    logger.info("migration_applied", package=package, name=name)


async def _complete(connection: Connection, complete: Completion) -> list[str]:
    with _explained("the read models"):
        async with connection.transaction():
            return await complete(connection)


async def _execute(connection: Connection, sql: str, name: str) -> None:
    with _explained(name):
        await connection.execute(sql)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"{name} cannot be applied: {error}; is this the database of another program, or of another "
            "version? It needs the rights of the database's owner"
        ) from error
