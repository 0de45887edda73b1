"""Money that goes back on an operator's word: shown first, reserved, sent, recorded.

    plan ──▶ RefundIntended + CreditsRevoked ──▶ the provider, with our key ──▶ PaymentRefunded
                                                          │ no
                                                          └──▶ RefundFailed + CreditsRestored

The credits are gone before the money is: nobody spends what is being paid back. An outcome nobody knows
leaves the intent open; the monitor asks again with the same key and the same words for a day, then searches
the provider's list, and only what is certainly not there fails.
"""

import contextlib
from functools import partial
from typing import Literal

import msgspec
import structlog

from events.payment import PaymentOrdered, Provider, RefundIntended
from ledger.errors import KeyReusedError, RejectedError
from ledger.payments.commands import FailRefund, IntendRefund, key_of
from ledger.payments.money_refunds import take
from ledger.payments.state import PaymentState, Received
from services.adapters.yookassa.errors import (
    BadCredentialsError,
    KeyTakenError,
    YooKassaNoAnswerError,
    YooKassaRefusedError,
)
from services.adapters.yookassa.records import RefundRecord
from services.payments import yookassa_messages as words
from services.payments.errors import NothingToRefundError
from services.payments.metrics import alarm
from services.payments.orders import PaymentOrders
from services.payments.yookassa import KEY_REMEMBERED_S, SURELY_UNMADE_S, YooKassaPayments
from services.platform.ids import new_id

logger = structlog.get_logger()

Sent = Literal["refunded", "refused", "unknown", "over", "absent"]


class RefundPlan(msgspec.Struct, frozen=True):
    """What a refund would do. Amounts are credits, but for `amount_minor`.

    Of those `bought` some were `spent` and some are `gone`: they expired, or an operator took them. `credits`
    are taken: `lots` says from which lots, the rest is owed. `balance_after` may be below zero.
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


async def plan_refund(
    desk: PaymentOrders, payment: str, credits: int | None, refund: str | None
) -> RefundPlan:
    """The plan of either provider. Raises NothingToRefundError."""
    state = await desk.ledger.read.payment(payment)
    ordered = state.ordered
    if ordered is None:
        raise NothingToRefundError(f"there is no payment {payment}")
    received = _refundable(state)
    if received is None:
        raise NothingToRefundError(f"payment {payment} has no money left to send back")
    amount_minor = received.refundable_minor
    account = await desk.ledger.read.account(ordered.account)
    gone = account.lost_of(received.lot)
    if credits is not None:
        left = max(received.credits - received.revoked - gone, 0)
        if not 0 < credits <= left:
            raise NothingToRefundError(f"of payment {payment} {left} credits are left, not {credits}")
        amount_minor = min(received.amount_of(credits), received.refundable_minor)
    _, revoked = take(account, ordered, received, amount_minor, "", 0)  # what is over is left out already
    lots = {part.lot: part.amount for part in revoked.parts} if revoked else {}
    taken = revoked.amount if revoked else 0
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


async def reserve(
    desk: PaymentOrders, plan: RefundPlan, provider: Provider, *, actor: str, reason: str
) -> None:
    """Take the credits before the money leaves; the monitor looks after the rest. Raises RejectedError."""
    command = IntendRefund(
        payment=plan.payment,
        account=plan.account,
        refund=plan.refund,
        provider_payment=plan.provider_payment,
        amount_minor=plan.amount_minor,
        actor=actor,
        reason=reason,
    )
    await desk.links.watch(plan.payment, plan.refund, plan.account, provider)
    try:
        await desk.ledger.execute(command, key=key_of(command))
    except RejectedError:
        await desk.links.unwatch(plan.payment, plan.refund)
        raise


class YooKassaRefunds:
    """Refunds of payments by YooKassa."""

    def __init__(self, desk: YooKassaPayments) -> None:
        self._yookassa = desk
        self._desk = desk.desk

    async def plan(
        self, payment: str, credits: int | None = None, *, refund: str | None = None
    ) -> RefundPlan:
        """What sending back the price of `credits` (all that is left, if None) would do. Changes nothing.

        `refund` is its id, a new one if None. Raises NothingToRefundError. Look at the payment first
        (`check`), so
        that the ledger knows all there is.
        """
        return await plan_refund(self._desk, payment, credits, refund)

    async def carry_out(self, plan: RefundPlan, *, actor: str, reason: str) -> Sent:
        """Reserve the credits and send the money. `unknown`: the monitor goes on until it is known."""
        await reserve(self._desk, plan, "yookassa", actor=actor, reason=reason)
        return await self.follow(plan.payment, plan.refund)

    async def follow(self, payment: str, refund: str) -> Sent:
        """Go on with an intended refund, from wherever it stopped. `over`: somebody else came to its end.

        `absent`: it is not in the ledger; its process died before, or has not come that far.
        """
        state = await self._desk.ledger.read.payment(payment)
        intent = next((intent for intent in state.intents if intent.refund == refund), None)
        if intent is None or state.ordered is None:
            if refund in state.closed:
                await self._desk.links.unwatch(payment, refund)
                return "over"
            return "absent"
        try:
            record = await self._sent(payment, state.ordered, intent)
        except YooKassaNoAnswerError as error:
            logger.warning("refund_unknown", payment=payment, refund=refund, error=str(error))
            return "unknown"
        except (BadCredentialsError, KeyTakenError) as error:
            alarm("refund_stuck", payment=payment, refund=refund, error=str(error))
            return "unknown"
        except YooKassaRefusedError as error:
            return await self._fail(payment, state.ordered, intent, error.code)
        if record is None or record.status == "pending":
            return "unknown"
        if record.status == "canceled":
            return await self._fail(payment, state.ordered, intent, record.cancel_reason or "canceled")
        await self._yookassa.record_refund(payment, state, record)
        return "refunded"

    async def _sent(
        self, payment: str, ordered: PaymentOrdered, intent: RefundIntended
    ) -> RefundRecord | None:
        """The provider's record of the refund, made or found. None: it is not known."""
        told = partial(words.refund_words, self._desk.settings, intent, ordered)
        asked = await self._desk.links.ask(payment, intent.refund, ordered.account, told)
        shop = self._yookassa.shop
        if asked.age_s < KEY_REMEMBERED_S:
            return await shop.create_refund(
                msgspec.json.decode(asked.request), words.refund_key(intent.refund)
            )
        cursor: str | None = None
        while True:
            page = await shop.refunds(cursor=cursor, payment_id=intent.provider_payment)
            for record in page.items:
                if record.metadata.get("refund") == intent.refund:
                    return record
            page.require_readable()
            cursor = page.cursor
            if cursor is None:
                break
        if asked.age_s >= SURELY_UNMADE_S:
            raise YooKassaRefusedError("never_made", "the provider has no such refund")
        return None

    async def _fail(self, payment: str, ordered: PaymentOrdered, intent: RefundIntended, reason: str) -> Sent:
        life_s = self._desk.settings.refund_life_seconds
        command = FailRefund(payment, ordered.account, intent.refund, reason, life_s)
        with contextlib.suppress(KeyReusedError):  # the monitor was faster, and was given another reason
            await self._desk.ledger.execute(command, key=key_of(command))
        await self._desk.links.unwatch(payment, intent.refund)
        alarm("refund_failed", payment=payment, refund=intent.refund, reason=reason)
        return "refused"


def _refundable(state: PaymentState) -> Received | None:
    """The money to send back: the newest of which some is left."""
    for received in reversed(state.received):
        if received.refundable_minor:
            return received
    return None
