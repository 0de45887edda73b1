"""`neurocards migrate`: apply database migrations, and let the services' logins in."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.connections import prepare
from services.cli.output import Output, OutputFormat, emit, say


def register(app: typer.Typer) -> None:
    app.command("migrate")(migrate)


def migrate(
    logins: Annotated[
        Path | None,
        typer.Option(
            "--logins",
            help="Folder of a password file per process, `worker/pgpass`; made where missing, and set.",
        ),
    ] = None,
    renew: Annotated[
        list[str] | None,
        typer.Option(
            help="A process whose login gets a new password, or `all`; may be repeated. Needs --logins.",
            metavar="PROCESS",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List what would be applied and the locks it takes; apply nothing."),
    ] = False,
    output: Output = OutputFormat.table,
) -> None:
    """Apply missing migrations; safe to run twice, and from two places at once. Needs DATABASE_OWNER_URL.

    A lock that does not come within two seconds is given up, so that nobody waits behind it, and tried again.
    """
    import asyncio

    from services.migrations import migrate as apply
    from services.migrations.logins import LOGINS, pass_files, set_passwords
    from services.platform.database import wait_for_database

    renewed = list(LOGINS) if renew == ["all"] else renew or []
    if renewed and (logins is None or not LOGINS.keys() >= {*renewed}):
        raise typer.BadParameter(f"takes {', '.join(LOGINS)} or all, and --logins", param_hint="--renew")
    settings = prepare("migrate")
    url = settings.require_owner_url()
    settings = settings.replace(database_url=url)
    if dry_run:
        _list_locks(url, output)
        return

    async def run() -> list[str]:
        await wait_for_database(settings)
        done = await apply(url)
        if logins is not None:
            await set_passwords(url, pass_files(logins, renewed))
        return done

    done = asyncio.run(run())
    if done or output is not OutputFormat.table:
        emit([{"applied": name} for name in done], output)
    say(f"{len(done)} migrations applied" if done else "the database is up to date")
    if renewed:
        say(f"new passwords for {', '.join(LOGINS[name] for name in renewed)}; open connections go on")


def _list_locks(url: str, output: OutputFormat) -> None:
    import asyncio

    from ledger.migrations.statements import locks
    from services.migrations import pending

    missing = asyncio.run(pending(url))
    rows = [
        {"migration": f"{package}/{name}", **locked._asdict()}
        for package, name, sql in missing
        for locked in locks(sql)
    ]
    emit(rows, output)
    say(
        f"{len(missing)} migrations would be applied, and columns of read models be made; nothing was changed"
    )
