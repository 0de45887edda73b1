"""Passwords of the services' database logins, set by the database's owner (docs/security.md)."""

import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from ledger.postgres import Connection

SERVICES = ("relay", "projector", "notifier", "monitor", "maintenance", "worker", "web", "bot", "dashboard")
LOGINS = {service: f"neurocards_{service}" for service in (*SERVICES, "operator")}
"""Process, or `operator` for the CLI → its login."""

PASS_FILE = "pgpass"  # noqa: S105
"""For `?passfile=` in DATABASE_URL; libpq's format."""


@asynccontextmanager
async def owner_connection(owner_url: str) -> AsyncIterator[Connection]:
    """For what only the database's owner may do. Raises what asyncpg raises."""
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def set_passwords(owner_url: str, passwords: Mapping[str, str]) -> None:
    """Let each login in with its password. It has letters, digits, `-` and `_` only."""
    async with owner_connection(owner_url) as connection:
        for login, password in passwords.items():
            await connection.execute(f"ALTER ROLE {login} PASSWORD '{password}'")


def pass_file(folder: Path, service: str) -> Path:
    return folder / service / PASS_FILE


def pass_files(folder: Path, renew: Collection[str] = ()) -> dict[str, str]:
    """Login → password, from a file per process below `folder`, `<process>/pgpass`; made where missing.

    Those of `renew` get new ones. Each process needs to see its own file only. Raises OSError.
    """
    passwords = {}
    for service, login in LOGINS.items():
        path = pass_file(folder, service)
        if service in renew or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(".new")
            fresh.touch(0o600)
            fresh.write_text(f"*:*:*:{login}:{secrets.token_urlsafe(32)}\n", "ascii")
            fresh.rename(path)
        passwords[login] = path.read_text("ascii").strip().rpartition(":")[2]
    return passwords
