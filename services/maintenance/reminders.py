"""Reminders, and notices asked for: messages that no event owes.

Each kind is owed by one statement, under a key that cannot double. Whether it is still wanted is judged again
when it is sent (docs/decisions/reminders.md).
"""

from datetime import datetime, timedelta, timezone
from typing import Final

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook, Circuits
from services.generation.prompts.styles import style_of
from services.generation.wait_estimate import Outlook, capacity
from services.maintenance.gauges import Balances
from services.maintenance.metrics import NOTICES_WANTED, REMINDERS
from services.platform.catalogues import MOSCOW
from services.platform.settings import Settings

query = load_queries("services.maintenance")

HOURS: Final = range(10, 20)
"""By REMINDERS_UTC_OFFSET. One that is not sent within an hour is not sent at all: none comes after 21."""
LEFT_S: Final = 3 * 3600.0
SETTLED_S: Final = 600.0
"""A single timeout leaves nothing behind by which to see that it is over."""
PEOPLE_AT_ONCE: Final = 300
TOLD_AT_ONCE: Final = 50
"""Whoever is told that it works orders: what has just come back is not to be run over."""


async def sells_nothing(ledger: Ledger) -> bool:
    """Whether the owner, or a cap, keeps everybody from ordering."""
    return (await ledger.read.sales()).closed(ledger.now_us()) is not None


class Reminders:
    """Owes reminders of ending credits and orders left at their card."""

    def __init__(self, ledger: Ledger, pool: Pool, utc_offset: int = 3) -> None:
        self._ledger = ledger
        self._pool = pool
        self._awake = timezone(timedelta(hours=utc_offset))

    async def run_once(self, now_us: int | None = None) -> int:
        now = datetime.fromtimestamp((now_us or self._ledger.now_us()) / 1e6, MOSCOW)
        if now.astimezone(self._awake).hour not in HOURS or await sells_nothing(self._ledger):
            return 0
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        today_us = int(today.timestamp()) * 1_000_000
        ends = (query("remind_of_ends"), today_us, f"{today:%Y-%m-%d}", PEOPLE_AT_ONCE)
        ending = int(await self._pool.fetchval(*ends))
        left = int(await self._pool.fetchval(query("remind_of_drafts"), LEFT_S, PEOPLE_AT_ONCE))
        REMINDERS.labels("ending").inc(ending)
        REMINDERS.labels("left").inc(left)
        return ending + left


class Notices:
    """Tells who asked for it that videos can be made again."""

    def __init__(self, settings: Settings, ledger: Ledger, pool: Pool, balances: Balances) -> None:
        self._ledger = ledger
        self._pool = pool
        self._balances = balances
        self._deadline_s = settings.job_deadline_seconds
        self._catalogue = load_catalogue()
        self._circuits = Circuits(CircuitBook(pool))
        self._outlook = Outlook(pool, capacity(settings))

    async def run_once(self) -> int:
        wanted = await self._pool.fetch(query("notices_wanted"))
        NOTICES_WANTED.set(sum(row["people"] for row in wanted))
        if not wanted or await sells_nothing(self._ledger):
            return 0
        await self._circuits.refresh()
        await self._outlook.times.measure()
        can = [row[:3] for row in wanted if await self._can_be_made(*row[:3])]
        columns = zip(*can, strict=True) if can else ((), (), ())
        sql = query("notices_owe")
        owed = int(await self._pool.fetchval(sql, SETTLED_S, TOLD_AT_ONCE, *map(list, columns)))
        REMINDERS.labels("works").inc(owed)
        return owed

    async def _can_be_made(self, style: str, sides: str, seconds: int) -> bool:
        """Whether the bot takes such an order, affordable and in time."""
        makers = style_of(style).makers(self._catalogue, sides, seconds) or [self._catalogue.default]
        model = self._circuits.first_well(makers)
        if not self._circuits.any_well(self._catalogue.candidates(model, sides, seconds)):
            return False
        deadline_s = min(self._deadline_s, model.deadline_s)
        expected = await self._outlook.estimate(model, "", 1, deadline_s)
        affords = (self._balances.most or 0) >= model.provider_credits
        return affords and not expected.too_late_s(deadline_s)
