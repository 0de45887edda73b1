"""Which primary a connection leads to: a promotion begins a new timeline, so of two the higher one leads."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from ledger.postgres import Reader
from ledger.sql import load_queries

query = load_queries("ledger.log")


class Primary(msgspec.Struct, frozen=True):
    """`system`: the cluster's identifier, which copies share; `timeline` grows with each promotion."""

    system: int
    timeline: int


Fence: TypeAlias = Callable[[Primary], Awaitable[None]]
"""Raises TwoPrimariesError where a newer primary is known."""


async def no_fence(_: Primary) -> None:
    """Let any primary pass."""


async def require_leading(reader: Reader, fence: Fence) -> None:
    """Ask `fence` about the primary that is read from; nothing of a replica. Raises what both raise."""
    if (primary := await primary_of(reader)) is not None:
        await fence(primary)


async def primary_of(reader: Reader) -> Primary | None:
    """None: a replica. Raises what asyncpg raises."""
    row = await reader.fetchrow(query("primary"))
    return Primary(row["system"], row["timeline"]) if row else None
