"""Payments by YooKassa: made, looked at, settled. All that is believed was read with our own key.

make    the same key and the same words every time, so that repeating is harmless; for a day. Later the
        provider has forgotten the key and would take the money twice: then only its list is searched.
settle  whatever brought us here (a notification, the button, the monitor), the payment's record decides.
refunds made in the provider's own cabinet are found by the payment's `refunded_amount`.
"""

import datetime
from functools import partial
from typing import Final

import msgspec
import structlog

from events.payment import PaymentOrdered
from ledger.payments.commands import RecordRefund, key_of
from ledger.payments.state import PaymentState
from services.adapters.yookassa.errors import BadCredentialsError, KeyTakenError, YooKassaRefusedError
from services.adapters.yookassa.gateway import YooKassa
from services.adapters.yookassa.records import PaymentRecord, RefundRecord
from services.payments import yookassa_messages as words
from services.payments.errors import PaymentNotCreatedError, PaymentPendingError
from services.payments.metrics import SETTLED, alarm
from services.payments.orders import Outcome, PaymentOrders, PaymentView, standing_of
from services.platform.singleflight import Coalescing

logger = structlog.get_logger()

KEY_REMEMBERED_S: Final = 23 * 3600.0
"""The provider keeps an idempotency key for 24 hours; an hour is for clocks and for calls under way."""
SURELY_UNMADE_S: Final = 25 * 3600.0
"""What is not in the provider's list so long after the first call was never made."""


class YooKassaPayments:
    """The desk's hands at YooKassa. Every call may raise what its adapter, the ledger and Postgres raise."""

    def __init__(self, desk: PaymentOrders, shop: YooKassa) -> None:
        self.desk = desk
        self.shop = shop
        self._checks = Coalescing(self._check)

    async def make(self, payment: str) -> PaymentView:
        """Have the provider make an ordered payment; its view, with the link to pay at while it is open.

        Raises PaymentNotCreatedError when there will be no link; YooKassaNoAnswerError when it is not known
        yet: the
        same call again
        goes on, and so does the monitor.
        """
        state = await self.desk.ledger.read.payment(payment)
        if state.ordered is None or standing_of(state) != "ordered":
            view = await self._view(payment)
            return (
                await self._check(payment)
                if view.standing == "pending" and not view.confirmation_url
                else view
            )
        record = await self._made(payment, state.ordered)
        if record is None:
            raise PaymentPendingError(f"payment {payment} is not known to the provider yet")
        await self.settle(record)
        return await self._view(payment)

    async def check(self, payment: str) -> PaymentView:
        """Look now ("I have paid"). Any number at once are one or two looks."""
        return await self._checks.run(payment)

    async def _check(self, payment: str) -> PaymentView:
        state = await self.desk.ledger.read.payment(payment)
        if state.ordered is None or state.succeeded:
            return await self._view(payment)
        if not state.created:
            return await self.make(payment)
        for provider_payment in state.created:
            await self.settle(await self.shop.payment(provider_payment))
        return await self._view(payment)

    async def settle(self, record: PaymentRecord) -> Outcome:
        """Record what a payment's record says, once. `foreign`: it is none of ours; that is alarmed."""
        payment = words.payment_in(record)
        if payment is None:
            return self._foreign(record)
        state = await self.desk.ledger.read.payment(payment)
        ordered = state.ordered is not None
        if record.status == "succeeded" and record.paid:
            command = words.settle_command(payment, record)
            if not ordered and command.ordered is None:
                return self._foreign(record)
            outcome = await self.desk.credit(command, state)
            if record.refunded_minor:
                await self._sync_refunds(payment, record)
            return outcome
        if record.status == "canceled":
            if not ordered:  # lost with a part of the log, and nothing came of it
                return "cancelled"
            return await self.desk.cancel(
                payment, "yookassa", record.id, record.cancel_reason, record.cancel_party
            )
        if record.status == "waiting_for_capture":
            alarm("held", payment=payment, provider_payment=record.id)  # we always ask for capture
        if ordered:
            await self._note_pending(payment, record)
        SETTLED.labels("yookassa", "pending").inc()
        return "pending"

    def _foreign(self, record: PaymentRecord) -> Outcome:
        alarm("foreign", provider_payment=record.id, status=record.status)
        SETTLED.labels("yookassa", "foreign").inc()
        return "foreign"

    async def _note_pending(self, payment: str, record: PaymentRecord) -> None:
        if record.confirmation_url:  # first: once the payment counts as created, nobody asks for it again
            await self.desk.links.set_url(payment, record.confirmation_url)
        await self.desk.created(payment, record.id)

    async def _made(self, payment: str, ordered: PaymentOrdered) -> PaymentRecord | None:
        """Its record, made or found. None: not known. Raises PaymentNotCreatedError (recorded),
        YooKassaNoAnswerError,
        BadCredentialsError."""
        told = partial(words.payment_words, self.desk.settings, payment, ordered)
        asked = await self.desk.links.ask(payment, "", ordered.account, told)
        if asked.age_s >= KEY_REMEMBERED_S:
            return await self._found_or_given_up(payment, asked.age_s)
        try:
            return await self.shop.create_payment(
                msgspec.json.decode(asked.request), words.payment_key(payment)
            )
        except KeyTakenError:
            alarm("key_taken", payment=payment)
            return await self.find(payment, asked.age_s)
        except BadCredentialsError as error:
            alarm("credentials", error=str(error))
            raise
        except YooKassaRefusedError as error:
            alarm("refused", payment=payment, error=str(error))
            await self.desk.cancel(payment, "yookassa", "", error.code, "merchant")
            raise PaymentNotCreatedError(f"payment {payment} was refused: {error}") from error

    async def _found_or_given_up(self, payment: str, asked_s: float) -> PaymentRecord | None:
        record = await self.find(payment, asked_s)
        if record is None and asked_s >= SURELY_UNMADE_S:
            await self.desk.expire(payment, "the provider never made it")
            raise PaymentNotCreatedError(f"payment {payment} was never made; order again")
        return record

    async def find(self, payment: str, age_s: float) -> PaymentRecord | None:
        """The payment in the provider's list of the last `age_s` seconds and an hour."""
        cursor: str | None = None
        since = _ago(age_s + 3600)
        while True:
            page = await self.shop.payments(since, cursor)
            for record in page.items:
                if words.payment_in(record) == payment:
                    return record
            page.require_readable()
            if page.cursor is None:
                return None
            cursor = page.cursor

    async def _sync_refunds(self, payment: str, record: PaymentRecord) -> None:
        """Record refunds of which the ledger does not know: they were made in the provider's cabinet."""
        state = await self.desk.ledger.read.payment(payment)
        received = state.received_as(record.id)
        if received is None or received.refunded_minor == record.refunded_minor:
            return
        cursor: str | None = None
        while True:
            page = await self.shop.refunds(cursor=cursor, payment_id=record.id)
            for refund in reversed(page.items):
                if refund.status == "succeeded":
                    await self.record_refund(payment, state, refund)
            page.require_readable()
            if page.cursor is None:
                return
            cursor = page.cursor

    async def settle_refund(self, refund: RefundRecord) -> Outcome:
        """Record a refund from its record, once; its payment first, should we not know of it."""
        if await self.desk.links.refund_known(refund.id):
            return "known"
        if refund.status != "succeeded":
            return "pending"
        payment = await self.desk.links.payment_of("yookassa", refund.payment_id)
        if payment is None:
            record = await self.shop.payment(refund.payment_id)
            payment = words.payment_in(record)
            if await self.settle(record) == "foreign" or payment is None:
                return "foreign"
        state = await self.desk.ledger.read.payment(payment)
        await self.record_refund(payment, state, refund)
        return "recorded"

    async def record_refund(self, payment: str, state: PaymentState, refund: RefundRecord) -> None:
        """Tell the ledger that money went back; with the credits, if nobody had reserved them."""
        if refund.id in state.refunds or state.ordered is None:
            return
        named = refund.metadata.get("refund", "")
        command = RecordRefund(
            payment=payment,
            account=state.ordered.account,
            provider="yookassa",
            provider_payment=refund.payment_id,
            provider_refund=refund.id,
            amount_minor=refund.amount_minor,
            refund=named,
        )
        await self.desk.ledger.execute(command, key=key_of(command))
        if named:
            await self.desk.links.unwatch(payment, named)
        else:
            alarm("refunded_elsewhere", payment=payment, provider_refund=refund.id)
        logger.info("payment_refunded", payment=payment, provider_refund=refund.id)

    async def _view(self, payment: str) -> PaymentView:
        view = await self.desk.view(payment)
        if view is None:
            raise PaymentNotCreatedError(f"there is no payment {payment}")
        return view


def _ago(seconds: float) -> str:
    """A time so long ago, as the provider's lists take it."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
