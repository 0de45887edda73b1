"""The payer's page: amount, and a button for each way a payment can end."""

from __future__ import annotations

import html
from importlib import resources
from string import Template

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.yookassa import payments
from services.sandbox.yookassa.errors import YooError

_ENDED = {
    "succeeded": "Оплачено. Вернитесь в чат: кредиты уже там.",
    "canceled": "Платёж не прошёл, деньги не списаны. Вернитесь в чат и попробуйте ещё раз.",
}


def routes(ctx: Context) -> list[web.RouteDef]:
    """The page, and what its buttons send: a form with `action`."""

    async def show(request: web.Request) -> web.StreamResponse:
        return _page(_payment(ctx, request))

    async def act(request: web.Request) -> web.StreamResponse:
        payment = _payment(ctx, request)
        action = str((await request.post()).get("action", ""))
        if payment.status != "pending":
            return _page(payment)
        back = payment.shown["confirmation"].get("return_url")
        if action == "pay":
            payments.pay(ctx, payment)
        elif action in payments.DECLINES:
            payments.cancel(ctx, payment, *payments.DECLINES[action])
        else:
            raise web.HTTPBadRequest(text=f"action must be pay, {', '.join(payments.DECLINES)}")
        # The browser goes back after success and failure alike: reaching return_url proves nothing.
        if back:
            raise web.HTTPSeeOther(back)
        return _page(payment)

    return [web.get(payments.CHECKOUT_PATH, show), web.post(payments.CHECKOUT_PATH, act)]


def _payment(ctx: Context, request: web.Request) -> payments.Payment:
    try:
        return payments.load(ctx, request.query.get("orderId", ""))
    except YooError as error:
        raise web.HTTPNotFound(text="Платёж не найден") from error


def _page(payment: payments.Payment) -> web.Response:
    shown = payment.shown
    ended = _ENDED.get(payment.status, "")
    rubles, _, kopecks = shown["amount"]["value"].partition(".")
    text = Template(resources.files(__package__).joinpath("checkout.html").read_text(encoding="utf-8"))
    page = text.substitute(
        amount=f"{int(rubles):,}".replace(",", "\u00a0") + f",{kopecks}\u00a0₽",
        description=html.escape(shown.get("description", "")),
        ended=ended,
        buttons_hidden="hidden" if ended else "",
        ended_hidden="" if ended else "hidden",
    )
    return web.Response(text=page, content_type="text/html")
