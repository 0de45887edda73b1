"""The owner's alerts in a Telegram chat: each cause once, and once more when it is over.

What the chat was told stands beside what is so now, so that a restart or a second process doubles nothing; a
message is due until it is taken. docs/decisions/owners-brakes.md.
"""

import asyncio
import time
from importlib.resources import files
from typing import Final, Literal

import msgspec
import structlog
from aiogram import Bot

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from ledger.system.decider import day_of
from services.adapters.telegram.send import why_not_taken
from services.generation.catalogue import load_catalogue
from services.maintenance import metrics
from services.maintenance.gauges import Balances
from services.maintenance.verification_memory import VerificationMemory
from services.platform import disks
from services.platform.settings import Settings
from services.recovery import checkpoint_files
from services.recovery.backup_runs import SAID, backup_status

query = load_queries("services.maintenance")

logger = structlog.get_logger()

Cause = Literal["deadline", "log", "money", "prompts", "disk", "lag", "paused", "cost", "welcome", "backup"]

LAG_S: Final = 60.0
PROMPTS_MIN: Final = 5
_MARKS: Final = {True: "🚨 ", False: "✅ <b>Over / прошло:</b> "}


class Words(msgspec.Struct, frozen=True):
    """One text in both languages."""

    ru: str
    en: str


TEXTS: Final = msgspec.toml.decode(
    files("services.maintenance").joinpath("owner_alerts.toml").read_bytes(), type=dict[Cause, Words]
)


class OwnerAlerts:
    def __init__(
        self, settings: Settings, ledger: Ledger, pool: Pool, balances: Balances, bot: Bot, chat_id: int
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._pool = pool
        self._balances = balances
        self._bot = bot
        self._chat_id = chat_id
        self._verified = VerificationMemory(checkpoint_files.folder(settings))
        self._video = min(model.provider_credits for model in load_catalogue().models if model.enabled)

    async def run_once(self) -> int:
        """How many messages were taken."""
        found, sent = await self.look(), 0
        rows = [(cause, detail is not None, detail or "") for cause, detail in found.items()]
        await self._pool.executemany(query("alert_seen"), rows)
        for cause, present, detail in await self._pool.fetch(query("alerts_take"), list(TEXTS)):
            text = TEXTS[cause].ru if self._settings.alerts_locale == "ru" else TEXTS[cause].en
            words = text.format(detail)
            error = await why_not_taken(self._bot.send_message(self._chat_id, _MARKS[present] + words))
            await self._pool.execute(query("alert_told"), cause, present, error)
            sent += not error
            if error:
                logger.warning("alert_not_delivered", cause=cause, reason=error)
        return sent

    async def look(self) -> dict[Cause, str | None]:
        """Cause → its detail, None where it is not so; without those that cannot be said now."""
        row = await self._pool.fetchrow(query("owner_causes"))
        assert row is not None
        sales, now_us = await self._ledger.read.sales(), self._ledger.now_us()
        free = await asyncio.to_thread(disks.free_bytes, self._settings.data_dir)
        share = row["fallbacks"] / row["prompts"] if row["prompts"] >= PROMPTS_MIN else 0.0
        found: dict[Cause, str | None] = {
            "deadline": "" if row["overdue"] else None,
            "prompts": f"{share:.0%}" if share > self._settings.prompt_fallback_share_max else None,
            "paused": "" if sales.closed(now_us) == "paused" else None,
            "cost": "" if sales.cost_day == day_of(now_us) else None,
            "welcome": "" if sales.welcome_day == day_of(now_us) else None,
        }
        concern = (await backup_status(self._pool)).concern
        found["backup"] = SAID[concern] if concern else None
        if free is not None:
            found["disk"] = f"{free / 1e9:.1f} GB" if free < disks.LITTLE_BYTES else None
        if (verified := self._verified.recall()).new_at_s:
            found["log"] = ", ".join(sorted(verified.problems)) or None
        if (most := self._balances.most) is not None:
            found["money"] = f"{most:g}" if most < self._video else None
        if unapplied := metrics.measured(metrics.UNAPPLIED_AT):
            late = [name for name, at_s in unapplied.items() if at_s and time.time() - at_s > LAG_S]
            found["lag"] = ", ".join(sorted(late)) or None
        return found
