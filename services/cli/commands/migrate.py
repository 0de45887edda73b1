"""`neurocards migrate`: apply database migrations."""

import typer

from services.cli.connections import prepare
from services.cli.output import Output, OutputFormat, emit, say


def register(app: typer.Typer) -> None:
    app.command("migrate")(migrate)


def migrate(output: Output = OutputFormat.table) -> None:
    """Apply missing migrations; safe to run twice, and from two places at once."""
    import asyncio

    from services.migrations import migrate as apply
    from services.platform.database import wait_for_database

    settings = prepare("migrate")
    url = settings.require_database_url()

    async def run() -> list[str]:
        await wait_for_database(settings)
        return await apply(url)

    done = asyncio.run(run())
    if done or output is not OutputFormat.table:
        emit([{"applied": name} for name in done], output)
    say(f"{len(done)} migrations applied" if done else "the database is up to date")
