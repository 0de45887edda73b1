"""Money refunds on an operator's word: planned, reserved, sent, recorded.

    plan ──▶ RefundIntended + CreditsRevoked ──▶ the provider, with our key ──▶ PaymentRefunded
                                                          │ no
                                                          └──▶ RefundFailed + CreditsRestored

The credits are gone before the money is: nobody spends what is being paid back. An outcome nobody knows
leaves the intent open; maintenance asks again with the same key and the same words for a day, then searches
the provider's list, and only what is certainly not there fails.
"""

import contextlib
from typing import Literal

import msgspec

from ledger.errors import KeyReusedError, RejectedError
from ledger.payments.commands import FailRefund, IntendRefund, key_of
from ledger.payments.money_refunds import take
from ledger.payments.state import PaymentState, Received
from services.payments.errors import NothingToRefundError
from services.payments.metrics import alarm
from services.payments.orders import PaymentOrders
from services.payments.provider import PaymentProvider
from services.platform.ids import Code, new_id, told

Sent = Literal["refunded", "refused", "unknown", "over", "absent"]


class RefundPlan(msgspec.Struct, frozen=True):
    """Effect of a refund. Amounts are credits, but for `amount_minor`.

    Of those `bought` some were `spent` and some are `gone` (expired, or taken by an operator). `credits` are
    taken: from `lots`, the rest is owed. `balance_after` may be below zero.
    """

    payment: str
    account: str
    provider_payment: str
    refund: str
    amount_minor: int
    currency: str
    credits: int
    bought: int
    spent: int
    gone: int
    lots: dict[int, int]
    owed: int
    balance: int
    balance_after: int


class Refunds:
    def __init__(self, orders: PaymentOrders, provider: PaymentProvider) -> None:
        self._orders = orders
        self._provider = provider

    async def plan(
        self, payment: str, credits: int | None = None, *, refund: str | None = None
    ) -> RefundPlan:
        """Plan refunding the price of `credits` (None: all that is left). Changes nothing.

        `refund` is its id, a new one if None. Raises NothingToRefundError, also for a part of what goes back
        as a whole. Look at a payment by YooKassa first (`check`), so that the ledger knows all there is.
        """
        state = await self._orders.ledger.read.payment(payment)
        ordered = state.ordered
        if ordered is None:
            raise NothingToRefundError(f"there is no payment {payment}")
        received = _refundable(state)
        if received is None:
            raise NothingToRefundError(f"payment {payment} has no money left to send back")
        account = await self._orders.ledger.read.account(ordered.account)
        gone = account.lost_of(received.lot)
        amount_minor = received.refundable_minor
        if credits is not None and self._provider.parts:
            left = max(received.credits - received.revoked - gone, 0)
            if not 0 < credits <= left:
                raise NothingToRefundError(f"of payment {payment} {left} credits are left, not {credits}")
            amount_minor = min(received.amount_of(credits), received.refundable_minor)
        # What is over is left out already.
        _, revoked = take(payment, account, ordered, received, amount_minor, 0)
        lots = {part.lot: part.amount for part in revoked.parts} if revoked else {}
        taken = revoked.amount if revoked else 0
        if credits not in (None, taken) and not self._provider.parts:
            raise NothingToRefundError(f"Stars go back as a whole: {taken} credits of payment {payment}")
        in_lot = sum(lot.amount for lot in account.lots if lot.number == received.lot)
        return RefundPlan(
            payment=payment,
            account=ordered.account,
            provider_payment=received.provider_payment,
            refund=refund or new_id(),
            amount_minor=amount_minor,
            currency=ordered.currency,
            credits=taken,
            bought=received.credits,
            spent=max(received.credits - received.revoked - gone - in_lot, 0),
            gone=gone,
            lots=lots,
            owed=taken - sum(lots.values()),
            balance=account.balance,
            balance_after=account.balance - taken,
        )

    async def carry_out(self, plan: RefundPlan, *, actor: str, reason: str) -> Sent:
        """Take the credits, then send the money. Raises RejectedError. `unknown`: maintenance goes on."""
        command = IntendRefund(
            payment=plan.payment,
            account=plan.account,
            refund=plan.refund,
            provider_payment=plan.provider_payment,
            amount_minor=plan.amount_minor,
            actor=actor,
            reason=reason,
        )
        await self._orders.links.watch(plan.payment, plan.refund, plan.account, self._provider.name)
        try:
            await self._orders.ledger.execute(command, key=key_of(command))
        except RejectedError:
            await self._orders.links.unwatch(plan.payment, plan.refund)
            raise
        return await self.follow(plan.payment, plan.refund)

    async def follow(self, payment: str, refund: str) -> Sent:
        """Continue an intended refund from any step; safe to repeat. `over`: another process finished it.
        `absent`: not in the ledger, its process died before or is not that far."""
        state = await self._orders.ledger.read.payment(payment)
        intent = next((intent for intent in state.intents if intent.refund == refund), None)
        if intent is None or state.ordered is None:
            if refund in state.closed:
                await self._orders.links.unwatch(payment, refund)
                return "over"
            return "absent"
        record = await self._provider.send_back(payment, state.ordered, intent)
        if record is None or record.status == "pending":
            return "unknown"
        if record.status == "canceled":
            await self._fail(
                payment, state.ordered.account, refund, told(record.cancel_reason, Code) or "canceled"
            )
            return "refused"
        await self._orders.record_refund(self._provider, payment, state, record)
        return "refunded"

    async def _fail(self, payment: str, account: str, refund: str, reason: str) -> None:
        command = FailRefund(payment, account, refund, reason, self._orders.settings.refund_life_seconds)
        with contextlib.suppress(KeyReusedError):  # maintenance was faster, and was given another reason
            await self._orders.ledger.execute(command, key=key_of(command))
        await self._orders.links.unwatch(payment, refund)
        alarm("refund_failed", payment=payment, refund=refund, reason=reason)


def _refundable(state: PaymentState) -> Received | None:
    for received in reversed(state.received):
        if received.refundable_minor:
            return received
    return None
