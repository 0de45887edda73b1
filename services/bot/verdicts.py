"""Verdicts that were given, kept per account in the table `verdicts`."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from services.adapters.openai.moderation import Kinds
from services.bot.sql import query

if TYPE_CHECKING:
    import asyncpg

    Pool = asyncpg.Pool[asyncpg.Record]


def text_content(text: str) -> str:
    """The name of exactly this text."""
    return f"text:{hashlib.sha256(text.encode()).hexdigest()}"


class Verdicts:
    """Reads and writes over the services' pool."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def known(self, account: str, contents: Iterable[str]) -> dict[str, Kinds]:
        """The verdicts there are on these contents."""
        rows = await self._pool.fetch(query("verdicts"), account, list(contents))
        return {content: msgspec.convert(kinds, Kinds) for content, kinds in rows}

    async def keep(self, account: str, verdicts: Mapping[str, Kinds]) -> None:
        """Remember them."""
        rows = [(account, content, list(kinds)) for content, kinds in verdicts.items()]
        if rows:
            await self._pool.executemany(query("verdict_keep"), rows)
