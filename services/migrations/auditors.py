"""Auditors' database logins: read the log and what follows from it, and hold nobody up (docs/auditing.md)."""

import secrets
from datetime import UTC, datetime
from typing import Final

import asyncpg

from services.migrations.logins import owner_connection
from services.platform.errors import StartError

PREFIX: Final = "auditor_"
CONNECTIONS_MAX: Final = 5
"""`neurocards ledger verify` needs four."""
_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10min",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10min",
}
_CONNECTIONS: Final = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)
FROM pg_roles r WHERE r.rolname = $1 AND pg_has_role(r.oid, 'neurocards_reader', 'MEMBER')
"""


class AuditorExistsError(StartError):
    """There is a login of that name."""


class AuditorNotFoundError(StartError):
    """No auditor's login has that name."""


async def add(owner_url: str, name: str) -> tuple[str, str]:
    """Make a login; its name and password. `name` has letters, digits and `_` only."""
    login, password = PREFIX + name, secrets.token_urlsafe(24)
    try:
        async with owner_connection(owner_url) as connection, connection.transaction():
            await connection.execute(
                f"CREATE ROLE {login} LOGIN PASSWORD '{password}' CONNECTION LIMIT {CONNECTIONS_MAX} "
                "IN ROLE neurocards_reader"
            )
            await connection.execute(f"COMMENT ON ROLE {login} IS 'since {datetime.now(UTC):%Y-%m-%d}'")
            for setting, value in _SETTINGS.items():
                await connection.execute(f"ALTER ROLE {login} SET {setting} = '{value}'")
    except asyncpg.DuplicateObjectError as error:
        raise AuditorExistsError(f"{login} is there already; remove it first") from error
    return login, password


async def connections(owner_url: str, name: str) -> int:
    """How often the login is connected at this moment. Raises AuditorNotFoundError."""
    async with owner_connection(owner_url) as connection:
        found: int | None = await connection.fetchval(_CONNECTIONS, PREFIX + name)
    if found is None:
        raise AuditorNotFoundError(f"there is no auditor {name}; `neurocards ledger access` has them")
    return found


async def remove(owner_url: str, name: str) -> int:
    """Drop a login after ending its sessions; how many. Raises AuditorNotFoundError."""
    login = PREFIX + name
    await connections(owner_url, name)
    async with owner_connection(owner_url) as connection:
        await connection.execute(f"ALTER ROLE {login} NOLOGIN")  # before, so that none comes back
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", login
        )
        await connection.execute(f"DROP OWNED BY {login}; DROP ROLE {login}")
        return len(ended)
