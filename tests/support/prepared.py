"""What takes long and is the same for every test: asked once per process."""

from collections.abc import Iterable
from typing import Any

import asyncpg

_OURS_FROM = 16_384
"""Postgres gives lower numbers to its own types only."""


def share_types() -> None:
    """Ask Postgres once per process what an array is: it is the same in each of hundreds of databases."""
    connections: Any = asyncpg.Connection
    ask = connections._introspect_types
    known: dict[frozenset[int], Any] = {}

    async def introspect(connection: Any, oids: Iterable[int], timeout: float | None) -> Any:
        builtin = frozenset(oids)
        if max(builtin) >= _OURS_FROM:
            return await ask(connection, oids, timeout)
        if builtin not in known:
            known[builtin] = await ask(connection, oids, timeout)
        return known[builtin]

    connections._introspect_types = introspect
