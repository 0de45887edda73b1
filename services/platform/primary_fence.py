"""Fence against a second primary: an old one that came back takes no appends.

Why so: docs/decisions/two-primaries.md.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from ledger.errors import TwoPrimariesError
from ledger.log.primary import Primary, primary_of
from ledger.postgres import DATABASE_ERRORS, each_host
from services.platform.settings import Settings

HOST_S = 2.0
"""How long each other host of the URL may take to answer."""

Published = Callable[[Primary], Awaitable[int | None]]


class Mark(Protocol):
    """Where processes tell each other which primary they follow."""

    async def published(self, own: Primary) -> int | None:
        """Publish ours; the highest timeline that was told, None: it cannot be said."""


MakeMark = Callable[[Settings, str], Mark]
"""Of a process by its name."""


class PrimaryFence:
    def __init__(self, database_url: str, published: Published | None = None) -> None:
        hosts = each_host(database_url)
        self._hosts = hosts if len(hosts) > 1 else []
        self._published = published

    async def __call__(self, own: Primary) -> None:
        """Raises TwoPrimariesError when a later primary of this cluster is known."""
        told = await self._published(own) if self._published else None
        others = await asyncio.gather(*(_primary_at(url) for url in self._hosts))
        known = [other.timeline for other in others if other is not None and other.system == own.system]
        newest = max(own.timeline, told or 0, *known)
        if newest > own.timeline:
            raise TwoPrimariesError(own.timeline, newest)


async def _primary_at(url: str) -> Primary | None:
    """None: no answer, or a replica."""
    with contextlib.suppress(*DATABASE_ERRORS):
        async with asyncio.timeout(HOST_S):
            connection = await asyncpg.connect(url, timeout=HOST_S, target_session_attrs=SessionAttribute.any)
            try:
                return await primary_of(connection)
            finally:
                connection.terminate()
    return None
