"""Sandbox of YooKassa: payments, refunds, payer's page, notifications, errors."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from events.errors import NeurocardsError
from services.sandbox.app import Context
from services.sandbox.yookassa import api, checkout, notifications, payments
from services.sandbox.yookassa.errors import YooError, bad

__all__ = ["book", "forge", "routes"]


def routes(ctx: Context) -> list[web.RouteDef]:
    """Paths without the prefix; the base URL for clients is `<sandbox>/yookassa/v3`."""

    async def resume() -> None:
        for payment in payments.every(ctx):
            payments.watch(ctx, payment)
        await notifications.resume(ctx)

    async def unknown(request: web.Request) -> web.StreamResponse:
        return bad(YooError("not_found", "No such resource"))

    ctx.on_start(resume)
    return [*api.routes(ctx), *checkout.routes(ctx), web.route("*", "/{unknown:.*}", unknown)]


def book(ctx: Context) -> dict[str, Any]:
    return {
        "payments": [payment.shown | {"idempotence_key": payment.key} for payment in payments.every(ctx)],
        "refunds": [refund.shown | {"idempotence_key": refund.key} for refund in payments.every_refund(ctx)],
        "notifications": notifications.log_of(ctx),
    }


class Forgery(msgspec.Struct, forbid_unknown_fields=True):
    """A forged notification: of a payment or of none, with any change to the object."""

    event: str = "payment.succeeded"
    payment_id: str = "2d7e5f1a-000f-5000-8000-100000000000"
    object: dict[str, Any] = {}
    headers: dict[str, str] = msgspec.field(
        default_factory=lambda: {"X-Forwarded-For": notifications.FOREIGN_IP}
    )


async def forge(ctx: Context, wanted: Any) -> str:
    """Send a forgery once; returns the HTTP status it was answered with. Raises NeurocardsError."""
    try:
        forgery = msgspec.convert(wanted, Forgery)
    except msgspec.ValidationError as error:
        raise NeurocardsError(str(error)) from error
    try:
        shown = payments.load(ctx, forgery.payment_id).shown
    except YooError:
        shown = {"id": forgery.payment_id, "amount": {"value": "390.00", "currency": "RUB"}, "metadata": {}}
    shown = shown | {"status": "succeeded", "paid": True} | forgery.object
    body = {"type": "notification", "event": forgery.event, "object": shown}
    return await notifications.send_once(ctx, body, forgery.headers)
