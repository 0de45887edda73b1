"""Tables of the services: ordinary rows, changeable and erasable. None is the record of money."""

from typing import TYPE_CHECKING, Any, NamedTuple

from ledger import migrations

if TYPE_CHECKING:
    import asyncpg


PACKAGES = ("ledger.migrations", "projections.migrations", "services.migrations")


class Compared(NamedTuple):
    """Migrations of this program that the database lacks, and those it has that no file is here for."""

    missing: list[str]
    unknown: list[str]


async def migrate(database_url: str) -> list[str]:
    """Apply every migration that is missing; the names applied. Safe when two processes start at once."""
    return await migrations.migrate(database_url, PACKAGES)


async def compare(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]",
) -> Compared:
    """The database's migrations beside this program's. Raises UndefinedTableError without any."""
    ours = [f"{package}/{name}" for package in PACKAGES for name in migrations.names(package)]
    rows: list[Any] = await connection.fetch(
        "SELECT package || '/' || name FROM schema_migrations ORDER BY 1"
    )
    theirs = [row[0] for row in rows]
    return Compared(
        [name for name in ours if name not in theirs], [name for name in theirs if name not in ours]
    )
