"""Payments by YooKassa: made, checked, listed, refunded; read with our own key only.

make    the same key and the same words every time, so that repeating is harmless; for a day. Later the
        provider has forgotten the key and would take the money twice: then only its list is searched.
check   whatever brought us here (a notification, the button, maintenance), the payment's record decides.
refunds made in the provider's own cabinet are found by the payment's `refunded_amount`.
"""

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import structlog

from events.payment import PaymentOrdered, Provider, RefundIntended
from services.adapters.yookassa.errors import (
    BadCredentialsError,
    KeyTakenError,
    YooKassaNoAnswerError,
    YooKassaRefusedError,
)
from services.adapters.yookassa.gateway import YooKassa
from services.adapters.yookassa.records import CURRENCY, Page, PaymentRecord, RefundRecord
from services.payments import yookassa_messages as words
from services.payments.errors import PaymentNotCreatedError, PaymentPendingError
from services.payments.metrics import alarm
from services.payments.orders import Outcome, PaymentOrders, PaymentView, standing_of
from services.payments.provider import Listed, ProviderPayment, ProviderRefund, UnreadableRecord, refused
from services.platform.ids import Code, told
from services.platform.singleflight import Coalescing

logger = structlog.get_logger()

KEY_REMEMBERED_S: Final = 23 * 3600.0
"""The provider keeps an idempotency key for 24 hours; an hour is for clocks and for calls under way."""
SURELY_UNMADE_S: Final = 25 * 3600.0
"""What is not in the provider's list so long after the first call was never made."""
FIND_S_MAX: Final = 366 * 86_400.0
"""How far back the list is searched for a payment that nobody looks after, whose age is therefore endless."""

Record = TypeVar("Record", PaymentRecord, RefundRecord)


class YooKassaPayments:
    """The PaymentProvider of YooKassa. Calls may raise what its adapter, the ledger and Postgres raise."""

    name: Provider = "yookassa"
    currency = CURRENCY
    parts = True

    def __init__(
        self, orders: PaymentOrders, shop: YooKassa, me: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        """`me` tells who our bot is, to whose chat payers return."""
        self.orders = orders
        self._me = me
        self.shop = shop
        self._payments_told = Coalescing(self._payment_told)
        self._refunds_told = Coalescing(self._refund_told)

    async def make(self, payment: str) -> PaymentView:
        """Create an ordered payment; its view, with the link while it is open.

        Raises PaymentNotCreatedError when there will be no link; YooKassaNoAnswerError while unknown: retry,
        as maintenance does.
        """
        state = await self.orders.ledger.read.payment(payment)
        if state.ordered is None or standing_of(state) != "ordered":
            view = await self._view(payment)
            unlinked = view.standing == "pending" and not view.confirmation_url
            return await self.check(payment) if unlinked else view
        record = await self._made(payment, state.ordered)
        if record is None:
            raise PaymentPendingError(f"payment {payment} is not known to the provider yet")
        await self.orders.settle(self, _payment(record))
        return await self._view(payment)

    async def check(self, payment: str) -> PaymentView:
        """Check now ("I have paid")."""
        state = await self.orders.ledger.read.payment(payment)
        if state.ordered is None or state.succeeded:
            return await self._view(payment)
        if not state.created:
            return await self.make(payment)
        for provider_payment in state.created:
            await self.orders.settle(self, await self.payment(provider_payment))
        return await self._view(payment)

    async def payment(self, provider_payment: str) -> ProviderPayment:
        return _payment(await self.shop.payment(provider_payment))

    async def refund(self, provider_refund: str) -> ProviderRefund:
        return _refund(await self.shop.refund(provider_refund))

    async def list(self, since: datetime.datetime) -> AsyncIterator[Listed]:
        after = _iso(since)
        async for payments in _pages(partial(self.shop.payments, after)):
            for found in payments.unreadable:
                yield UnreadableRecord("payment", found.id, found.reason)
            for payment in payments.items:
                yield _payment(payment)
        async for refunds in _pages(partial(self.shop.refunds, after)):
            for found in refunds.unreadable:
                yield UnreadableRecord("refund", found.id, found.reason)
            for refund in refunds.items:
                yield _refund(refund)

    async def refunds_of(self, provider_payment: str) -> AsyncIterator[ProviderRefund]:
        """A payment's refunds, oldest of a page first. Raises UnknownError after an unreadable one."""
        async for page in _pages(partial(self.shop.refunds, None, payment_id=provider_payment)):
            for refund in reversed(page.items):
                yield _refund(refund)
            page.require_readable()

    async def send_back(
        self, payment: str, ordered: PaymentOrdered, intent: RefundIntended
    ) -> ProviderRefund | None:
        refund = intent.refund
        try:
            return await self._sent_back(payment, ordered, intent)
        except YooKassaNoAnswerError as error:
            logger.warning("refund_unknown", payment=payment, refund=refund, error=str(error))
            return None
        except (BadCredentialsError, KeyTakenError) as error:
            alarm("refund_stuck", payment=payment, refund=refund, error=str(error))
            return None
        except YooKassaRefusedError as error:
            return refused(ordered, intent, error.code)

    async def payment_told(self, provider_payment: str) -> Outcome:
        """Check a payment after its notification; concurrent ones share a read. Raises NotFoundError when the
        shop has no such payment, YooKassaNoAnswerError, the ledger's and Postgres's."""
        return await self._payments_told.run(provider_payment)

    async def refund_told(self, provider_refund: str) -> Outcome:
        return await self._refunds_told.run(provider_refund)

    async def _payment_told(self, provider_payment: str) -> Outcome:
        if await self.orders.links.payment_of(self.name, provider_payment) is not None:
            return "known"  # a payment that has succeeded changes no more; its refunds are told of as such
        return await self.orders.settle(self, await self.payment(provider_payment))

    async def _refund_told(self, provider_refund: str) -> Outcome:
        if await self.orders.links.refund_known(provider_refund):
            return "known"
        return await self.orders.settle_refund(self, await self.refund(provider_refund))

    async def _made(self, payment: str, ordered: PaymentOrdered) -> PaymentRecord | None:
        """Its record, made or found. None: not known. Raises PaymentNotCreatedError (recorded)."""
        return_url = await self._return_url()
        told = partial(words.payment_words, self.orders.settings, payment, ordered, return_url)
        asked = await self.orders.links.ask(payment, "", ordered.account, told)
        if asked.age_s >= KEY_REMEMBERED_S:
            return await self._found_or_given_up(payment, asked.age_s)
        try:
            return await self.shop.create_payment(
                msgspec.json.decode(asked.request), words.payment_key(payment)
            )
        except KeyTakenError:
            alarm("key_taken", payment=payment)
            return await self._find(payment, asked.age_s)
        except BadCredentialsError as error:
            alarm("credentials", error=str(error))
            raise
        except YooKassaRefusedError as error:
            alarm("refused", payment=payment, error=str(error))
            await self.orders.cancel(payment, self.name, "", error.code, "merchant")
            raise PaymentNotCreatedError(f"payment {payment} was refused: {error}") from error

    async def _return_url(self) -> str:
        settings, me = self.orders.settings, self._me
        if me is None or settings.payment_return_url or settings.uses_sandbox_for("telegram"):
            return settings.payment_return
        return f"https://t.me/{(await me()).username}"

    async def _found_or_given_up(self, payment: str, asked_s: float) -> PaymentRecord | None:
        record = await self._find(payment, asked_s)
        if record is None and asked_s >= SURELY_UNMADE_S:
            await self.orders.expire(payment, "never_made")
            raise PaymentNotCreatedError(f"payment {payment} was never made; order again")
        return record

    async def _find(self, payment: str, age_s: float) -> PaymentRecord | None:
        """Search the provider's list of the last `age_s` seconds and an hour."""
        back_s = min(age_s, FIND_S_MAX) + 3600
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=back_s)
        async for page in _pages(partial(self.shop.payments, _iso(since))):
            for record in page.items:
                if words.payment_in(record) == payment:
                    return record
            page.require_readable()
        return None

    async def _sent_back(
        self, payment: str, ordered: PaymentOrdered, intent: RefundIntended
    ) -> ProviderRefund | None:
        told = partial(words.refund_words, self.orders.settings, intent, ordered)
        asked = await self.orders.links.ask(payment, intent.refund, ordered.account, told)
        if asked.age_s < KEY_REMEMBERED_S:
            key = words.refund_key(intent.refund)
            return _refund(await self.shop.create_refund(msgspec.json.decode(asked.request), key))
        async for page in _pages(partial(self.shop.refunds, None, payment_id=intent.provider_payment)):
            for record in page.items:
                if record.texts.get("refund") == intent.refund:
                    return _refund(record)
            page.require_readable()
        return refused(ordered, intent, "never_made") if asked.age_s >= SURELY_UNMADE_S else None

    async def _view(self, payment: str) -> PaymentView:
        view = await self.orders.view(payment)
        if view is None:
            raise PaymentNotCreatedError(f"there is no payment {payment}")
        return view


async def _pages(ask: Callable[[str | None], Awaitable[Page[Record]]]) -> AsyncIterator[Page[Record]]:
    cursor: str | None = None
    while True:
        page = await ask(cursor)
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def _payment(record: PaymentRecord) -> ProviderPayment:
    return ProviderPayment(
        id=record.id,
        status=record.status,
        paid=record.paid,
        amount_minor=record.amount.minor,
        currency=record.amount.currency,
        created_at_s=record.created_at.timestamp(),
        payment=words.payment_in(record),
        ordered=words.order_in(record),
        account=told(record.texts.get("account"), Code) or "",
        shop=told(record.recipient.account_id, Code) or "",
        test=record.test,
        refunded_minor=record.refunded_minor,
        confirmation_url=record.confirmation_url,
        cancel_reason=record.cancelled.reason,
        cancel_party=record.cancelled.party,
        facts=words.payment_facts(record),
    )


def _refund(record: RefundRecord) -> ProviderRefund:
    return ProviderRefund(
        id=record.id,
        provider_payment=record.payment_id,
        status=record.status,
        amount_minor=record.amount.minor,
        currency=record.amount.currency,
        created_at_s=record.created_at.timestamp(),
        refund=record.texts.get("refund", ""),
        cancel_reason=record.cancelled.reason,
        kind="cabinet",
        facts=words.refund_facts(record),
    )


def _iso(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
