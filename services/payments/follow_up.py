"""Follow-up of open payments and refunds until they are final; run by maintenance.

A payment is read again with back-off for a week, then given up; an intended refund is followed until it has
an outcome. Two processes are safe: rows are taken, and the ledger has the keys.
"""

import asyncio
from typing import Final

import structlog

from ledger.postgres import DATABASE_ERRORS
from services.adapters.yookassa.errors import YooKassaNoAnswerError
from services.payments.errors import PaymentNotCreatedError, PaymentPendingError
from services.payments.metrics import alarm
from services.payments.orders import standing_of
from services.payments.provider import PaymentProvider
from services.payments.refunds import Refunds
from services.payments.tracking_store import WatchedPayment
from services.payments.yookassa import YooKassaPayments
from services.platform.settings_fields import PAYMENT_GIVE_UP_S

logger = structlog.get_logger()

AT_ONCE: Final = 8
PAUSE_S_MAX: Final = 6 * 3600.0
UNORDERED_S: Final = 3600.0
"""A row whose payment never came into the ledger is swept away after so long."""


class FollowUp:
    def __init__(
        self, yookassa: YooKassaPayments, *others: PaymentProvider, give_up_s: float = PAYMENT_GIVE_UP_S
    ) -> None:
        self._yookassa = yookassa
        self._orders = yookassa.orders
        self._refunds = {one.name: Refunds(self._orders, one) for one in (yookassa, *others)}
        self._give_up_s = give_up_s

    async def run_once(self) -> int:
        """Check what is due; how many that was. Raises what Postgres and the ledger raise when away."""
        rows = await self._orders.links.due(AT_ONCE, PAUSE_S_MAX)
        answers = await asyncio.gather(*(self._look(row) for row in rows), return_exceptions=True)
        for row, answer in zip(rows, answers, strict=True):
            match answer:
                case None | PaymentNotCreatedError():
                    pass
                case YooKassaNoAnswerError() | PaymentPendingError():
                    logger.info("payment_not_read", payment=row.payment, refund=row.refund, error=str(answer))
                case Exception() if not isinstance(answer, DATABASE_ERRORS):
                    # One that cannot be looked at must not keep the others.
                    alarm("stuck", payment=row.payment, refund=row.refund, error=repr(answer))
                case _:
                    raise answer
        return len(rows)

    async def _look(self, row: WatchedPayment) -> None:
        if row.refund:
            refunds = self._refunds.get(row.provider)
            if refunds is not None:
                sent = await refunds.follow(row.payment, row.refund)
                if sent == "absent" and row.age_s > UNORDERED_S:
                    await self._orders.links.unwatch(row.payment, row.refund)
            return
        state = await self._orders.ledger.read.payment(row.payment)
        if state.ordered is None:
            if row.age_s > UNORDERED_S:
                await self._orders.links.release(row.payment)
            return
        standing, young = standing_of(state), row.age_s <= self._give_up_s
        if standing not in ("ordered", "pending") and not (
            standing == "expired" and young
        ):  # or asked for again
            await self._orders.links.unwatch(row.payment)
            return
        if row.provider == "yookassa":
            await self._yookassa.check(row.payment)
            await self._orders.links.looked(row.payment)
        if row.age_s > self._give_up_s:
            # What is final by now was recorded, and then this changes nothing.
            await self._orders.expire(row.payment, "unpaid")
