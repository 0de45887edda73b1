"""Inbox of Telegram's updates: in Postgres before they are confirmed, until handled.

    poller, web ──store──▶ updates ─┬▶ InboxRunner, about money ┬▶ handler, chat by chat in order ──▶ deleted
                                    └▶ InboxRunner, the rest ───┘  in any number of processes: chat_claims

A chat's flood is cut to its newest updates: docs/decisions/fair-inbox.md. Who answers whom:
docs/decisions/bots-side-by-side.md.

A `kill -9` at any moment loses no update: what was not stored Telegram sends again, what was not deleted is
handled again. So a handler may see an update twice and must not do twice what matters.
"""

from services.bot.inbox.leader_lock import LeaderLock
from services.bot.inbox.lease import ChatClaims, Fence, Work
from services.bot.inbox.runner import InboxHandler, InboxRunner
from services.bot.inbox.store import Inbox, StoredUpdate

__all__ = [
    "ChatClaims",
    "Fence",
    "Inbox",
    "InboxHandler",
    "InboxRunner",
    "LeaderLock",
    "StoredUpdate",
    "Work",
]
