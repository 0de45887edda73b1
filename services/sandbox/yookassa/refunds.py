"""Refunds: money that goes back, in one or several parts, never more than came."""

from __future__ import annotations

from typing import Any

import msgspec

from services.sandbox.app import Context
from services.sandbox.yookassa import checks, notify, payments
from services.sandbox.yookassa.wire import NO_REFUND, YooError, invalid, iso

REFUND_KIND = "yookassa_refund"


class Refund(msgspec.Struct, kw_only=True):
    """`shown` is what the API answers."""

    shown: dict[str, Any]
    key: str
    created_at: float

    @property
    def id(self) -> str:
        return str(self.shown["id"])

    @property
    def status(self) -> str:
        return str(self.shown["status"])


def load(ctx: Context, refund_id: str) -> Refund:
    """Raises YooError not_found."""
    doc = ctx.store.get(REFUND_KIND, refund_id)
    if doc is None:
        raise YooError("not_found", NO_REFUND, "refund_id")
    return msgspec.convert(doc, Refund)


def every(ctx: Context) -> list[Refund]:
    """All refunds, oldest first."""
    return [msgspec.convert(doc, Refund) for _, doc in ctx.store.all(REFUND_KIND)]


def create(ctx: Context, body: dict[str, Any], key: str) -> Refund:
    """Give back a part of a succeeded payment, or all of it. Raises YooError."""
    wanted = checks.refund(body)
    payment = payments.load(ctx, body["payment_id"])
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
        "id": payments.new_id(now, "0016"),
        "payment_id": payment.id,
        "status": "succeeded",
        "amount": checks.amount(wanted),
        "created_at": iso(now),
    }
    shown |= {name: body[name] for name in ("description", "metadata") if body.get(name)}
    if body.get("receipt"):
        shown["receipt_registration"] = "succeeded"
    payment.shown["refunded_amount"] = checks.amount(refunded)
    payment.shown["refundable"] = refunded < payment.total
    refund = Refund(shown=shown, key=key, created_at=now)
    order = str(payment.shown["metadata"].get("order_id", ""))
    with ctx.store.batch():
        payments.save(ctx, payment)
        ctx.store.put(REFUND_KIND, refund.id, msgspec.to_builtins(refund))
        planned = notify.plan(ctx, "refund.succeeded", shown, payment=payment.id, order=order)
    notify.start(ctx, planned)
    return refund
