"""Payments and refunds, and the only ways a payment's status may change.

pending ──▶ succeeded or canceled
"""

from __future__ import annotations

import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from services.sandbox.app import Context
from services.sandbox.yookassa import notifications
from services.sandbox.yookassa.checks import amount, money, refund_amount
from services.sandbox.yookassa.errors import NO_PAYMENT, NO_REFUND, YooError, invalid, iso

PAYMENT_KIND = "yookassa_payment"
REFUND_KIND = "yookassa_refund"
# Part of the payment page's address, as in the real one.
CHECKOUT_PATH = "/checkout/payments/v2/contract"

DECLINES = {
    "decline": ("payment_network", "general_decline"),
    "insufficient_funds": ("payment_network", "insufficient_funds"),
    "3d_secure_failed": ("payment_network", "3d_secure_failed"),
}

_LIFE_S = 3600.0
_COMMISSION = Decimal("0.035")
_IDS_SINCE = 946_684_800  # ids begin with the seconds since 2000


class Record(msgspec.Struct, kw_only=True):
    """`shown` is what the API answers; the rest is what it never shows. Times are epoch seconds."""

    shown: dict[str, Any]
    key: str  # the Idempotence-Key it was made under
    created_at: float

    @property
    def id(self) -> str:
        return str(self.shown["id"])

    @property
    def status(self) -> str:
        return str(self.shown["status"])


class Payment(Record, kw_only=True):
    """Money from a payer. It is canceled at `ends_at`, unless it is final by then."""

    ends_at: float

    @property
    def total(self) -> Decimal:
        return Decimal(self.shown["amount"]["value"])

    @property
    def refunded(self) -> Decimal:
        return Decimal(self.shown.get("refunded_amount", {"value": "0.00"})["value"])


def load(ctx: Context, payment_id: str) -> Payment:
    """The payment as it is now. Raises YooError not_found."""
    doc = ctx.store.get(PAYMENT_KIND, payment_id)
    if doc is None:
        raise YooError("not_found", NO_PAYMENT, "payment_id")
    return _expired(ctx, msgspec.convert(doc, Payment))


def every(ctx: Context) -> list[Payment]:
    return [_expired(ctx, msgspec.convert(doc, Payment)) for _, doc in ctx.store.all(PAYMENT_KIND)]


def create(ctx: Context, body: dict[str, Any], key: str, origin: str) -> Payment:
    now = ctx.clock.now()
    payment_id = new_id(now, "000f")
    shown: dict[str, Any] = {
        "id": payment_id,
        "status": "pending",
        "paid": False,
        "amount": amount(money(body["amount"])),
        "confirmation": {
            "type": "redirect",
            "return_url": body["confirmation"]["return_url"],
            "confirmation_url": f"{origin}/yookassa{CHECKOUT_PATH}?orderId={payment_id}",
        },
        "created_at": iso(now),
        "metadata": body.get("metadata") or {},
        "recipient": {"account_id": ctx.settings.yookassa_shop_id, "gateway_id": "100700"},
        "refundable": False,
        "test": is_test(ctx),
    }
    for name in ("description", "merchant_customer_id"):
        if body.get(name):
            shown[name] = body[name]
    payment = Payment(shown=shown, key=key, created_at=now, ends_at=now + _LIFE_S)
    if body.get("receipt"):
        shown["receipt_registration"] = "pending"
    save(ctx, payment)
    watch(ctx, payment)
    return payment


def pay(ctx: Context, payment: Payment) -> Payment:
    shown = payment.shown
    shown.pop("confirmation", None)
    shown["payment_method"] = {"type": "bank_card", "id": payment.id, "saved": False, "status": "inactive"}
    income = payment.total * (1 - _COMMISSION)
    shown.update(status="succeeded", paid=True, refundable=True, captured_at=iso(ctx.clock.now()))
    shown["income_amount"] = amount(income.quantize(Decimal("0.01"), ROUND_HALF_UP))
    shown["refunded_amount"] = amount(Decimal(0))
    if "receipt_registration" in shown:
        shown["receipt_registration"] = "succeeded"
    _changed(ctx, payment, "payment.succeeded")
    return payment


def cancel(ctx: Context, payment: Payment, party: str, reason: str) -> Payment:
    shown = payment.shown
    shown.pop("confirmation", None)
    shown.update(status="canceled", paid=False, refundable=False)
    shown["cancellation_details"] = {"party": party, "reason": reason}
    if "receipt_registration" in shown:
        shown["receipt_registration"] = "canceled"
    _changed(ctx, payment, "payment.canceled")
    return payment


class Refund(Record, kw_only=True):
    """Money that goes back."""


def load_refund(ctx: Context, refund_id: str) -> Refund:
    """Raises YooError not_found."""
    doc = ctx.store.get(REFUND_KIND, refund_id)
    if doc is None:
        raise YooError("not_found", NO_REFUND, "refund_id")
    return msgspec.convert(doc, Refund)


def every_refund(ctx: Context) -> list[Refund]:
    return [msgspec.convert(doc, Refund) for _, doc in ctx.store.all(REFUND_KIND)]


def create_refund(ctx: Context, body: dict[str, Any], key: str) -> Refund:
    """Refund a part of a succeeded payment, or all of it. Raises YooError."""
    wanted = refund_amount(body)
    payment = load(ctx, body["payment_id"])
    if payment.status != "succeeded":
        raise invalid(
            f"The payment's status is {payment.status}; only succeeded ones are refunded", "payment_id"
        )
    refunded = payment.refunded + wanted
    if refunded > payment.total:
        left = payment.total - payment.refunded
        raise invalid(f"The amount exceeds what is left to refund ({left:.2f})", "amount.value")
    now = ctx.clock.now()
    shown: dict[str, Any] = {
        "id": new_id(now, "0016"),
        "payment_id": payment.id,
        "status": "succeeded",
        "amount": amount(wanted),
        "created_at": iso(now),
    }
    shown |= {name: body[name] for name in ("description", "metadata") if body.get(name)}
    if body.get("receipt"):
        shown["receipt_registration"] = "succeeded"
    payment.shown["refunded_amount"] = amount(refunded)
    payment.shown["refundable"] = refunded < payment.total
    refund = Refund(shown=shown, key=key, created_at=now)
    order = str(payment.shown["metadata"].get("order_id", ""))
    with ctx.store.batch():
        save(ctx, payment)
        ctx.store.put(REFUND_KIND, refund.id, msgspec.to_builtins(refund))
        planned = notifications.plan(ctx, "refund.succeeded", shown, payment=payment.id, order=order)
    notifications.start(ctx, planned)
    return refund


def watch(ctx: Context, payment: Payment) -> None:
    if payment.status != "pending":
        return

    async def wait() -> None:
        await ctx.sleep_until(payment.ends_at + 0.001)
        load(ctx, payment.id)

    ctx.spawn(wait(), name=f"yookassa-payment-{payment.id}")


def save(ctx: Context, payment: Payment) -> None:
    ctx.store.put(PAYMENT_KIND, payment.id, msgspec.to_builtins(payment))


def new_id(now: float, kind: str) -> str:
    """`2d7e5f1a-000f-5000-8000-1xxxxxxxxxxx`, as the real ones look."""
    return f"{int(now) - _IDS_SINCE & 0xFFFFFFFF:08x}-{kind}-5000-8000-1{uuid.uuid4().hex[:11]}"


def is_test(ctx: Context) -> bool:
    return ctx.settings.yookassa_secret_key.startswith("test_")


def _expired(ctx: Context, payment: Payment) -> Payment:
    if payment.status != "pending" or ctx.clock.now() < payment.ends_at:
        return payment
    return cancel(ctx, payment, "yoo_money", "expired_on_confirmation")


def _changed(ctx: Context, payment: Payment, event: str) -> None:
    order = str(payment.shown["metadata"].get("order_id", ""))
    with ctx.store.batch():
        save(ctx, payment)
        planned = notifications.plan(ctx, event, payment.shown, payment=payment.id, order=order)
    notifications.start(ctx, planned)
