"""Compares the providers' books daily, and measures what is open.

Two processes are harmless: a comparison is begun by one, and what both find is one command in the ledger.
"""

from typing import Final, get_args

import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.adapters.telegram.stars import StarsError
from services.adapters.yookassa.errors import YooKassaError
from services.maintenance.metrics import (
    COMPARED_AT,
    DIFFERENCES,
    OLDEST_REFUND_AT,
    PAYMENTS_OPEN,
    UNCREDITED_AT,
)
from services.payments.metrics import alarm
from services.payments.reconciliation import Kind, Reconciliation

query = load_queries("services.maintenance")

logger = structlog.get_logger()

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class DailyComparison:
    """`run_once` every minute: compares when the last comparison is old enough."""

    def __init__(self, comparison: Reconciliation, *, every_s: float, days: int) -> None:
        self._comparison = comparison
        self._every_s = every_s
        self._days = days

    async def run_once(self) -> int:
        """Whether both books were compared. The provider's trouble is an alarm; it is tried again."""
        try:
            report = await self._comparison.run(self._days, every_s=self._every_s)
        except (YooKassaError, StarsError) as error:
            alarm("not_compared", error=str(error))
            return 0
        return 0 if report is None else 1


class PaymentsMeasured:
    """`run_once` every few seconds."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        """Read the numbers and set the gauges."""
        row = await self._pool.fetchrow(query("watch_summary"))
        assert row is not None
        PAYMENTS_OPEN.labels("payment").set(row["payments"])
        PAYMENTS_OPEN.labels("refund").set(row["refunds"])
        OLDEST_REFUND_AT.set(row["oldest_refund_at_s"])
        uncredited = await self._pool.fetchrow(query("uncredited"))
        assert uncredited is not None
        for why, since_s in uncredited.items():
            UNCREDITED_AT.labels(why).set(since_s)
        compared = await self._pool.fetchrow(query("newest_comparisons"))
        assert compared is not None
        rows = await self._pool.fetch(query("differences"), compared["comparisons"])
        found: dict[str, int] = {kind: count for kind, count in rows}
        COMPARED_AT.set(compared["ended_s"])
        for kind in KINDS:
            DIFFERENCES.labels(kind).set(found.get(kind, 0))
        return 0
