"""Updates of Telegram, fetched or sent to us: into the inbox, once each, before they are confirmed."""

import json
from collections.abc import Sequence
from typing import Any, Final

import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.adapters.telegram.metrics import UPDATES

query = load_queries("services.adapters.telegram")

WEBHOOK_PATH: Final = "/webhooks/telegram"
"""Where `web` takes updates; known to everybody, so each call shows BOT_WEBHOOK_SECRET."""
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105
STORED_CHANNEL: Final = "neurocards_updates"
"""NOTIFY with the lane, `urgent` or `ordinary`, when updates were stored."""
PER_CHAT_MAX: Final = 20
"""Ordinary updates of one chat that are kept waiting, of more the newest; as in `ledger.store_updates`."""

logger = structlog.get_logger()


async def store_updates(pool: Pool, updates: Sequence[dict[str, Any]]) -> None:
    """Store Update objects; durable when this returns. One that was stored within two days is left out, also
    when it was handled. Raises asyncpg's errors."""
    if not updates:
        return
    bodies = [json.dumps(u, ensure_ascii=True, separators=(",", ":")) for u in updates]
    ids = [u["update_id"] for u in updates]
    chats, users = map(list, zip(*map(whose, updates), strict=True))
    urgent = [is_urgent(u) for u in updates]
    if dropped := await pool.fetchval(query("store_updates"), ids, chats, users, urgent, bodies):
        UPDATES.labels("dropped").inc(dropped)
        logger.warning("updates_dropped", count=dropped)


def is_update(value: Any) -> bool:
    update_id = value.get("update_id") if isinstance(value, dict) else None
    return type(update_id) is int and 0 <= update_id < 2**63


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


def tap_of(update: dict[str, Any]) -> str:
    """The tapped button, on its message; empty for what is no tap."""
    tap = _part(update.get("callback_query"))
    return f"{_part(tap.get('message')).get('message_id', 0)}:{tap.get('data') or ''}" if tap else ""


def _id(value: Any) -> int | None:
    found = _part(value).get("id")
    return found if isinstance(found, int) and abs(found) < 2**63 else None


def _part(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
