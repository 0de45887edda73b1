"""Credit expiry: books lots whose life is over, on accounts not in use.

Nothing depends on how soon: the ledger does not let them be spent anyway, and every command on the account
books them first. So a read model may say which accounts to ask for, however far behind it is.
"""

import asyncio
from typing import Final

import structlog

from ledger.commands import ExpireCredits
from ledger.errors import LedgerBusyError, LedgerUnavailableError
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import EXPIRED

query = load_queries("services.monitor")

logger = structlog.get_logger()

PAGE_ACCOUNTS: Final = 500


class ExpirySweep:
    def __init__(self, ledger: Ledger, pool: Pool, *, page_accounts: int = PAGE_ACCOUNTS) -> None:
        self._ledger = ledger
        self._pool = pool
        self._page_accounts = page_accounts

    async def run_once(self) -> int:
        booked = 0
        after: tuple[int, str] = (0, "")
        while True:
            now_us = self._ledger.now_us()
            page = await self._pool.fetch(query("ended_lots"), *after, self._page_accounts, now_us)
            asked = [self._expire(account, position) for account, _, position in page]
            booked += sum(await asyncio.gather(*asked))
            if len(page) < self._page_accounts:
                EXPIRED.inc(booked)
                return booked
            after = (page[-1]["next_expiry_at_us"], page[-1]["account"])

    async def _expire(self, account: str, position: int) -> int:
        # The key names the read model's state: while that is behind, asking again is asking once. The end
        # would not do: it comes twice when a clock was ahead and what had expired came back.
        key = f"expire:{account}:{position}"
        try:
            receipt = await self._ledger.execute(ExpireCredits(account), key=key)
        except (LedgerUnavailableError, LedgerBusyError):
            raise
        except Exception:
            logger.exception("credits_not_expired", account=account)
            return 0
        return min(receipt.events, 1)
