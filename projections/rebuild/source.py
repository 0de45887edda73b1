"""Where a rebuild's events come from."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.hash_chain import require_sequence
from ledger.sql import load_queries

if TYPE_CHECKING:
    from ledger.postgres import Connection

ledger_query = load_queries("ledger.log")

PAGE_EVENTS = 2000


class Source(Protocol):
    """The log, or a copy of it."""

    async def page(self, after: Cursor, limit: int) -> list[Recorded]:
        """Up to `limit` events right after the cursor, in the chain. Raises IntegrityError."""


class LogSource:
    """The log itself, over one connection that nobody else uses meanwhile."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def page(self, after: Cursor, limit: int) -> list[Recorded]:
        """See `Source`."""
        rows = await self._connection.fetch(ledger_query("events_after"), after.position, limit)
        events = [Recorded(*row) for row in rows]
        require_sequence(after, events)
        return events


async def pages(source: Source, after: Cursor, up_to: int) -> AsyncIterator[list[Recorded]]:
    """What the source has after a cursor, exactly up to a position.

    While a page is worked on the next one is read. Raises IntegrityError when the source ends before.
    """
    reading = asyncio.ensure_future(_page(source, after, up_to))
    try:
        while after.position < up_to:
            page = await reading
            after = page[-1].cursor
            if after.position < up_to:
                reading = asyncio.ensure_future(_page(source, after, up_to))
                await asyncio.sleep(0)  # lets it ask before we are busy
            yield page
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _page(source: Source, after: Cursor, up_to: int) -> list[Recorded]:
    if after.position >= up_to:
        return []
    found = await source.page(after, min(PAGE_EVENTS, up_to - after.position))
    if not found:
        raise IntegrityError(f"the log ends at {after.position}, before {up_to}, which was seen before")
    return found
