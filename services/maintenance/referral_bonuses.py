"""Referral bonuses for both sides after the invited account's purchase or video.

Who is due is asked of the log by index, from its start in every round, so nothing is lost and there is no
cursor. One key per invited account makes one of two processes, or of a repetition after a kill.
"""

import asyncio
from typing import Final

import structlog

from ledger.errors import KeyReusedError, LedgerBusyError, LedgerUnavailableError
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.promotions.commands import RewardInvitation, key_of
from ledger.sql import load_queries
from services.maintenance.metrics import INVITATIONS
from services.platform.settings import Settings

query = load_queries("services.maintenance")

logger = structlog.get_logger()

PAGE: Final = 200


class ReferralBonuses:
    def __init__(self, settings: Settings, ledger: Ledger, pool: Pool, *, page: int = PAGE) -> None:
        self._inviter_credits = settings.referral_credits
        self._credits = settings.referred_credits
        self._due = (
            "invitations_bought" if settings.referral_after == "purchase" else "invitations_made_video"
        )
        self._ledger = ledger
        self._pool = pool
        self._page = page

    async def run_once(self) -> int:
        rewarded, after = 0, 0
        if not self._inviter_credits and not self._credits:
            return 0
        while True:
            page = await self._pool.fetch(query(self._due), after, self._page)
            asked = [self._reward(row["account"], row["inviter"], row["job"]) for row in page]
            rewarded += sum(await asyncio.gather(*asked))
            if len(page) < self._page:
                INVITATIONS.inc(rewarded)
                return rewarded
            after = page[-1]["position"]

    async def _reward(self, account: str, inviter: str, job: str) -> int:
        command = RewardInvitation(account, inviter, self._credits, self._inviter_credits, job)
        try:
            return min((await self._ledger.execute(command, key=key_of(command))).events, 1)
        except KeyReusedError:
            return 0  # another process, with other settings or another video, was faster
        except (LedgerUnavailableError, LedgerBusyError):
            raise
        except Exception:
            logger.exception("invitation_not_rewarded", account=account)
            return 0
