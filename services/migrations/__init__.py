"""Migrations of the services: changeable, erasable tables; none records money."""

from typing import TYPE_CHECKING, Any, NamedTuple

from ledger import migrations

if TYPE_CHECKING:
    import asyncpg


PACKAGES = ("ledger.migrations", "projections.migrations", "services.migrations")


class Compared(NamedTuple):
    """Migrations, or else read models, missing in the database; and unknown migrations."""

    missing: list[str]
    unknown: list[str]


async def migrate(database_url: str) -> list[str]:
    """Apply missing migrations; the names applied. Safe when run concurrently."""
    from projections.migrations import complete

    return await migrations.migrate(database_url, PACKAGES, complete)


async def pending(database_url: str) -> list[tuple[str, str, str]]:
    """Package, name and SQL of each migration that would be applied."""
    return await migrations.pending(database_url, PACKAGES)


async def compare(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]",
) -> Compared:
    """Compare the database's migrations. Raises UndefinedTableError without any."""
    from projections.migrations import lacking  # all read models: only for who compares

    ours = [f"{package}/{name}" for package in PACKAGES for name in migrations.names(package)]
    rows: list[Any] = await connection.fetch(
        "SELECT package || '/' || name FROM schema_migrations ORDER BY 1"
    )
    theirs = [row[0] for row in rows]
    missing = [name for name in ours if name not in theirs]
    return Compared(missing or await lacking(connection), [name for name in theirs if name not in ours])
