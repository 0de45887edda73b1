"""How an operator's commands write: as the application, with a ledger of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from ledger.log import Ledger
from services.shared.database import create_pool
from services.shared.settings import Settings

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@asynccontextmanager
async def open_ledger(settings: Settings) -> "AsyncIterator[tuple[Ledger, Pool]]":
    """A ledger to write to and a pool to read from. Raises StartError with what to do."""
    async with (
        await create_pool(settings, "operator", max_size=2) as pool,
        Ledger(settings.require_database_url(), pool) as ledger,
    ):
        yield ledger, pool
