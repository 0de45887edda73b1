"""The table `updates`, and who has which chat in hand: `chat_claims`."""

import json
from collections import Counter
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog

from ledger.sql import load_queries
from services.adapters.telegram.updates import tap_of

query = load_queries("services.bot.inbox")

logger = structlog.get_logger()

ERROR_CHARS_MAX: Final = 2000
PARKED_DAYS: Final = 14
LEASE_S: Final = 15.0
SAME_TAP_S: Final = 3.0
FLOOD_REST_S: Final = 60.0
"""Losses of one chat that are less apart are one flood, and told once."""


class StoredUpdate(msgspec.Struct, frozen=True):
    """An update, its chat claimed. `body` is its JSON as Telegram sent it; `failures` counts attempts."""

    update_id: int
    chat_id: int
    user_id: int | None
    body: str
    urgent: bool = False
    failures: int = 0
    begun: int = 1
    """How many processes have begun it by now."""
    dropped: int = 0
    """Earlier ones that were left out of a flood."""
    flood_told: bool = False
    """Whether the person knows of the flood: within FLOOD_REST_S."""
    age_s: float = 0.0
    behind_own: bool = False
    """Whether an earlier one of its chat was in hand when it came."""
    troubled_s: float = 0.0
    """So long the surroundings have kept other runs from handling it; the person knows."""
    last_tap: str = ""
    """The button tapped within SAME_TAP_S before, if nothing else came since."""

    @property
    def is_ours(self) -> bool:
        """Whether it is the notifier's: the balance that the chat's order card shows has changed."""
        return self.update_id < 0

    def update(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Inbox:
    """One run of a process and its claims. Every method is one transaction; asyncpg's errors come through."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", lease_s: float = LEASE_S) -> None:
        self._pool = pool
        self.lease_s = lease_s
        self.owner: UUID = uuid4()
        """The run's name; another one when its lease had lapsed."""
        self._held: Counter[tuple[int, bool]] = Counter()
        """Chat and lane of each claim that we know of: not of one whose answer was lost, or that a restore
        brought back. Two for a moment, when one is taken again before we hear that it was given back."""

    async def take(self, urgent: bool, most: int) -> list[StoredUpdate]:
        """Claim chats of one lane, the longest waiting first; of each its first update."""
        rows = await self._pool.fetch(
            query("take"), urgent, self.owner, self.lease_s, most, SAME_TAP_S, FLOOD_REST_S
        )
        taken = [StoredUpdate(*row) for row in rows]
        self._held.update((stored.chat_id, stored.urgent) for stored in taken)
        return taken

    def begin(self) -> None:
        """Another run, without claims."""
        self.owner = uuid4()
        self._held.clear()

    def _let_go(self, stored: StoredUpdate) -> None:
        key = (stored.chat_id, stored.urgent)
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]

    async def renew(self) -> None:
        chats, lanes = [chat for chat, _ in self._held], [urgent for _, urgent in self._held]
        await self._pool.execute(query("renew"), self.owner, self.lease_s, chats, lanes)

    async def release(self) -> None:
        """Give back all claims: the run is over."""
        await self._pool.execute(query("release"), self.owner)

    async def flood_told(self, stored: StoredUpdate) -> None:
        await self._pool.execute(query("flood_told"), stored.chat_id, stored.urgent)

    async def failed(self, update_id: int, error: str) -> int:
        return int(await self._pool.fetchval(query("failed"), update_id, error[:ERROR_CHARS_MAX]) or 0)

    async def done(self, stored: StoredUpdate) -> None:
        """Delete it, also when the claim has lapsed: it was handled. Give the claim back."""
        await self._pool.execute(
            query("done"),
            stored.update_id,
            stored.chat_id,
            stored.urgent,
            self.owner,
            tap_of(stored.update()),
        )
        self._let_go(stored)

    async def park(self, stored: StoredUpdate, error: str) -> None:
        """Park it: kept to be looked at, no longer blocking its chat. Give the claim back."""
        await self._pool.execute(
            query("park"),
            stored.update_id,
            stored.chat_id,
            stored.urgent,
            self.owner,
            error[:ERROR_CHARS_MAX],
        )
        self._let_go(stored)

    async def give_back(self, stored: StoredUpdate, troubled_s: float = 0.0) -> None:
        """Leave it to the next claim, as if not begun."""
        await self._pool.execute(
            query("give_back"), stored.update_id, stored.chat_id, stored.urgent, self.owner, troubled_s
        )
        self._let_go(stored)

    async def clean(self) -> int:
        """Delete what was parked PARKED_DAYS ago: it holds personal data. How many went.

        And free claims and numbers of updates that are of no more use.
        """
        forgotten = int(await self._pool.fetchval(query("forget_parked"), PARKED_DAYS))
        await self._pool.execute(query("forget_claims"), 2 * FLOOD_REST_S)
        await self._pool.execute(query("forget_seen"))
        if forgotten:
            logger.info("parked_updates_forgotten", count=forgotten)
        return forgotten
