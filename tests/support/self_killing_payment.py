"""A process that buys and refunds, and kills itself at a named point, with nothing tidied up."""

import asyncio
import os
import signal
from typing import Any, Final

import aiohttp

from ledger.commands import Command
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from services.adapters.yookassa.gateway import YooKassa
from services.payments.orders import PaymentOrders
from services.payments.refunds import Refunds
from services.payments.tracking_store import TrackingStore
from services.payments.yookassa import YooKassaPayments
from services.platform.database import create_pool
from tests.support import fork_server
from tests.support.payment_fixture import payment_settings

POINTS: Final = (
    "reserve", "OrderPayment", "ask", "create_payment", "set_url", "RecordPaymentCreated", "paid", "payment",
    "SettlePayment", "unwatch", "watch", "IntendRefund", "ask refund", "create_refund", "RecordRefund",
    "unwatch refund",
)  # fmt: skip
"""In this order; a process struck at one has done it and nothing after it. `paid` is the payer's doing."""


def self_killing_payment(
    point: str, database_url: str, sandbox_url: str, account: str, payment: str
) -> fork_server.Child:
    """Start it: it orders, pays and refunds, and is dead right after `point`."""
    return fork_server.call(_main, point, database_url, sandbox_url, account, payment)


def _main(*args: str) -> None:
    asyncio.run(_live(*args))


class _Strikes:
    def __init__(self, point: str) -> None:
        self._point = point

    def at(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, thing: Any, method: str, *, refund_argument: int | None = None) -> None:
        """Strike after `method` of `thing`; for a refund the point is called `<method> refund`."""
        done = getattr(thing, method)

        async def doing(*args: Any, **more: Any) -> Any:
            result = await done(*args, **more)
            about = args[refund_argument : refund_argument + 1] if refund_argument is not None else ()
            self.at(f"{method} refund" if any(about) else method)
            return result

        setattr(thing, method, doing)


async def _live(point: str, database_url: str, sandbox_url: str, account: str, payment: str) -> None:
    settings = payment_settings(database_url, sandbox_url)
    strikes = _Strikes(point)
    async with (
        await create_pool(settings, "dying") as pool,
        Ledger(database_url, pool) as ledger,
        YooKassa(settings) as shop,
    ):
        links = TrackingStore(pool, first_look_s=0)
        for method in ("reserve", "set_url"):
            strikes.after(links, method)
        for method in ("ask", "watch", "unwatch"):
            strikes.after(links, method, refund_argument=1 if method != "watch" else None)
        for method in ("create_payment", "payment", "create_refund"):
            strikes.after(shop, method)
        execute = ledger.execute

        async def executing(command: Command, *, key: str) -> Receipt:
            receipt = await execute(command, key=key)
            strikes.at(type(command).__name__)
            return receipt

        ledger.execute = executing  # type: ignore[method-assign]
        desk = YooKassaPayments(PaymentOrders(settings, ledger, pool, links=links), shop)
        await desk.orders.order(account, "credits-5", "yookassa", locale="ru", payment=payment)
        view = await desk.make(payment)
        assert view.confirmation_url
        async with aiohttp.ClientSession() as http:
            page = http.post(view.confirmation_url, data={"action": "pay"}, allow_redirects=False)
            async with page as reply:
                assert reply.status == 303
        strikes.at("paid")
        assert (await desk.check(payment)).standing == "paid"
        refunds = Refunds(desk.orders, desk)
        plan = await refunds.plan(payment, 2)
        await refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry")
    os._exit(99)  # the point was never come to
