"""`neurocards dashboard users`: who may look at the dashboard's pages."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.commands import add_group
from services.cli.connections import prepare, run
from services.cli.options import DryRun, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.platform.settings import Settings


class Role(StrEnum):
    """Each may do what those before it may."""

    auditor = "auditor"
    operator = "operator"
    owner = "owner"


def _named(text: str) -> str:
    if not text.strip() or text != text.strip() or len(text) > 100 or not text.isprintable():
        raise typer.BadParameter("1 to 100 characters, without spaces at its ends")
    return text


Name = Annotated[str, typer.Argument(metavar="NAME", callback=_named, help="What they log in with.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        name="dashboard", no_args_is_help=True, help="The pages for owners, operators and auditors."
    )
    add_group(group, "users", "Who may look at them.", {"add": add, "list": list_users, "remove": remove})
    app.add_typer(group)


def add(
    name: Name,
    role: Annotated[
        Role, typer.Option(help="auditor reads; operator also changes; owner also sees all sessions.")
    ],
    output: Output = OutputFormat.table,
) -> None:
    """Make a user, and a link for their password and second factor.

    It works once, within a day. Of one who is there already it changes the role at once, and the link is for
    a new password: until it is used the old one holds. Hand it over by a safe way: it is kept nowhere.
    """

    async def work(settings: Settings) -> str:
        from services.dashboard.users import invite, link_address
        from services.platform.database import create_pool

        async with await create_pool(settings, "operator", max_size=1) as pool:
            return link_address(settings, await invite(pool, name, role.value))

    emit([{"name": name, "role": role.value, "link": run("dashboard", work)}], output)


def list_users(output: Output = OutputFormat.table) -> None:
    """List users, removed ones too, with the number of their sessions."""
    emit(run("dashboard", _users), output)


def remove(
    name: Name,
    erase: Annotated[
        bool, typer.Option("--erase", help="Delete the name too, also of one removed before.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """End a user's sessions at once and delete their password.

    The id, which events name, stays, and the name beside it until `--erase`.
    """
    from projections.engine.errors import NothingOfThatNameError

    there = [
        row for row in run("dashboard", _users) if row["name"] == name and (erase or not row["removed_us"])
    ]
    if not there:
        raise NothingOfThatNameError(f"there is no user {name!r}; `neurocards dashboard users list` has them")
    emit(there, output)
    confirm(dry_run, yes)

    async def work(settings: Settings) -> Any:
        from services.dashboard.users import query
        from services.platform.database import create_pool

        async with await create_pool(settings, "operator", max_size=1) as pool:
            return await pool.fetchval(query("remove_user"), name, erase)

    say(f"removed; {asyncio.run(work(prepare('dashboard'))) or 0} sessions were ended")


async def _users(settings: Settings) -> list[dict[str, Any]]:
    from services.dashboard.users import query
    from services.platform.database import create_pool

    async with await create_pool(settings, "operator", max_size=1) as pool:
        return [dict(row) for row in await pool.fetch(query("users"))]
