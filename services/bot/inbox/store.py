"""The table `updates`."""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from ledger.sql import load_queries
from services.bot.metrics import UPDATES

query = load_queries("services.bot.inbox")

logger = structlog.get_logger()

ERROR_CHARS_MAX: Final = 2000
PARKED_DAYS: Final = 14
PER_CHAT_MAX: Final = 20
"""Ordinary updates of one chat that are kept waiting; of more the newest."""


class StoredUpdate(msgspec.Struct, frozen=True):
    """An update. `body` is its JSON as Telegram sent it; `failures` counts failed attempts."""

    update_id: int
    chat_id: int
    user_id: int | None
    body: str
    failures: int = 0

    @property
    def is_ours(self) -> bool:
        """Whether it is the notifier's: the balance that the chat's order card shows has changed."""
        return self.update_id < 0

    def update(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Inbox:
    """Reads and writes `updates`. Every method is one transaction; asyncpg's errors come through."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def store(self, updates: Sequence[dict[str, Any]]) -> None:
        """Store Update objects; durable when this returns. Idempotent. Of a chat's flood only the newest
        PER_CHAT_MAX are kept; `begin` tells of the rest."""
        if not updates:
            return
        bodies = [json.dumps(u, ensure_ascii=True, separators=(",", ":")) for u in updates]
        ids = [u["update_id"] for u in updates]
        chats, users = map(list, zip(*map(whose, updates), strict=True))
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                query("store"), ids, chats, users, [is_urgent(u) for u in updates], bodies
            )
            dropped = await connection.fetchval(query("drop_floods"), sorted(set(chats)), PER_CHAT_MAX)
        if dropped:
            UPDATES.labels("dropped").inc(dropped)
            logger.warning("updates_dropped", count=dropped)

    async def waiting(self, urgent: bool, in_hand: Collection[int], limit: int) -> list[StoredUpdate]:
        """Waiting updates of one lane, not in hand: every chat's first, then every second, …"""
        rows = await self._pool.fetch(query("waiting"), urgent, list(in_hand), limit)
        return [StoredUpdate(*row) for row in rows]

    async def begin(self, update_id: int) -> tuple[int, int, float] | None:
        """Count a process's beginning; how many, how many updates were left out before it, and its age in
        seconds. None when it is gone."""
        row = await self._pool.fetchrow(query("begin"), update_id)
        return tuple(row) if row else None

    async def failed(self, update_id: int, error: str) -> int:
        return int(await self._pool.fetchval(query("failed"), update_id, error[:ERROR_CHARS_MAX]) or 0)

    async def park(self, update_id: int, error: str) -> None:
        """Park it: kept to be looked at, no longer blocking its chat."""
        await self._pool.execute(query("park"), update_id, error[:ERROR_CHARS_MAX])

    async def done(self, update_id: int) -> None:
        await self._pool.execute("DELETE FROM updates WHERE update_id = $1", update_id)

    async def forget_parked(self) -> int:
        """Delete what was parked more than PARKED_DAYS ago: it holds personal data. How many went."""
        forgotten = int(await self._pool.fetchval(query("forget_parked"), PARKED_DAYS))
        if forgotten:
            logger.info("parked_updates_forgotten", count=forgotten)
        return forgotten


def whose(update: dict[str, Any]) -> tuple[int, int | None]:
    """The chat an update belongs to (0: none) and its sender. A private chat is its person's, whichever
    message a tapped button stands on."""
    for event in update.values():
        if not isinstance(event, dict):
            continue
        user_id = _id(event.get("from"))
        chat = event.get("chat") or _part(event.get("message")).get("chat")
        own = user_id is not None and _part(chat).get("type", "private") == "private"
        return (user_id if own else _id(chat) or user_id) or 0, user_id
    return 0, None


def is_urgent(update: dict[str, Any]) -> bool:
    """Whether it is about money: Telegram asks before a payment and waits ten seconds, or tells of one."""
    message = _part(update.get("message"))
    return "pre_checkout_query" in update or "successful_payment" in message or "refunded_payment" in message


def _id(value: Any) -> int | None:
    found = _part(value).get("id")
    return found if isinstance(found, int) and abs(found) < 2**63 else None


def _part(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
