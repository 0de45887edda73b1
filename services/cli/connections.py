"""How commands read: as the role `auditor`, which can select and nothing else, and read only on top of that.

    async with auditor_pool(settings) as pool:
        ...

The database is AUDIT_DATABASE_URL, e.g. a replica, or else DATABASE_URL. A login that may not act as
`auditor`, because it is an auditor's own, is used as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import asyncpg
import structlog

from ledger.log.ledger import Ledger
from services.platform.database import CONNECT_TIMEOUT_S, UNUSABLE, create_pool, server_settings, start_error
from services.platform.settings import Settings

if TYPE_CHECKING:
    from ledger.postgres import Pool


logger = structlog.get_logger()
T = TypeVar("T")


AUDITOR_ROLE = "auditor"


@asynccontextmanager
async def auditor_pool(
    settings: Settings, *, max_size: int = 2, statement_timeout_s: float | None = None
) -> AsyncIterator["Pool"]:
    """A pool that can only read. Without `statement_timeout_s` a walk through the log may take its time.

    `json` columns arrive as text, times in UTC. Raises StartError with what to do.
    """
    try:
        try:
            pool = await _open(settings, AUDITOR_ROLE, max_size, statement_timeout_s)
        except asyncpg.InsufficientPrivilegeError:
            logger.warning("auditor_role_not_granted", used="the login's own rights, read only")
            pool = await _open(settings, None, max_size, statement_timeout_s)
    except UNUSABLE as error:
        raise start_error(error) from error
    async with pool:
        yield pool


async def _open(
    settings: Settings, role: str | None, max_size: int, statement_timeout_s: float | None
) -> "Pool":
    return await asyncpg.create_pool(
        settings.audit_database_url or settings.require_database_url(),
        min_size=1,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        server_settings=reading_settings(role, statement_timeout_s),
    )


def reading_settings(role: str | None, statement_timeout_s: float | None = None) -> dict[str, str]:
    """What the server is told when such a connection begins; for those who open one themselves."""
    return server_settings("audit", role) | {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{int((statement_timeout_s or 0) * 1000)}ms",
        "idle_in_transaction_session_timeout": "0",  # between two pages of a long walk
    }


def read(command: str, work: Callable[["Pool", Settings], Awaitable[T]]) -> T:
    """Run one reading command: settings, logs, a pool, the work."""
    from services.cli.environment import prepare

    settings = prepare(command)

    async def run() -> T:
        async with auditor_pool(settings) as pool:
            return await work(pool, settings)

    return asyncio.run(run())


# How an operator's commands write: as the application, with a ledger of their own.


@asynccontextmanager
async def open_ledger(settings: Settings) -> "AsyncIterator[tuple[Ledger, Pool]]":
    """A ledger to write to and a pool to read from. Raises StartError with what to do."""
    async with (
        await create_pool(settings, "operator", max_size=2) as pool,
        Ledger(settings.require_database_url(), pool) as ledger,
    ):
        yield ledger, pool
