"""Sandbox of YooKassa: payments, refunds, payer's page, notifications, errors."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.yookassa import api, checkout, notifications, payments
from services.sandbox.yookassa.errors import YooError, bad

__all__ = ["book", "routes"]


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
