"""The whole database: the ledger's tables, the projections' and the services', in this order."""

from ledger import migrations

PACKAGES = ("ledger.migrations", "projections.migrations", "services.shared.migrations")


async def migrate(database_url: str) -> list[str]:
    """Apply every migration that is missing; the names applied. Safe when two processes start at once."""
    return await migrations.migrate(database_url, PACKAGES)
