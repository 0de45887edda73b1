"""What notifications of YooKassa lead to: the object that one is about is read, whatever it says."""

from services.payments.orders import Outcome
from services.payments.yookassa import YooKassaPayments
from services.platform.singleflight import Coalescing


class Notifications:
    """What a notification is about, looked at once by all that tell of the same thing."""

    def __init__(self, desk: YooKassaPayments) -> None:
        self._desk = desk
        self._payments = Coalescing(self._payment)
        self._refunds = Coalescing(self._refund)

    async def payment(self, provider_payment: str) -> Outcome:
        """Raises NotFoundError when the shop has none of it, YooKassaNoAnswerError, and what the ledger and
        Postgres raise."""
        return await self._payments.run(provider_payment)

    async def refund(self, provider_refund: str) -> Outcome:
        """As `payment`."""
        return await self._refunds.run(provider_refund)

    async def put_off(self, provider_payment: str) -> None:
        """It is said to be paid, and nobody can look now: the monitor will, and tells how long that takes."""
        await self._desk.desk.links.tell(provider_payment)

    async def _payment(self, provider_payment: str) -> Outcome:
        if await self._desk.desk.links.payment_of("yookassa", provider_payment) is not None:
            return "known"  # a payment that has succeeded changes no more; its refunds are told of as such
        return await self._desk.settle(await self._desk.shop.payment(provider_payment))

    async def _refund(self, provider_refund: str) -> Outcome:
        if await self._desk.desk.links.refund_known(provider_refund):
            return "known"
        return await self._desk.settle_refund(await self._desk.shop.refund(provider_refund))
