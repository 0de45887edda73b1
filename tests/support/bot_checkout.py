"""A till that keeps everything in memory."""

from typing import Any, cast

from aiogram import Bot
from msgspec.structs import replace

from services.bot.checkout import Checkout
from services.payments.errors import PaymentPendingError
from services.payments.orders import PaymentOrders
from services.payments.stars import StarsPayments
from services.payments.tracking_store import TrackedPayment
from services.platform.settings import Settings


def memory_till(settings: Settings, ledger: Any, bot: Bot) -> Checkout:
    """A till whose YooKassa makes nothing."""
    desk = PaymentOrders(settings, ledger, cast(Any, None), links=cast(Any, MemoryLinks()))
    return Checkout(desk, cast(Any, SilentYooKassa()), StarsPayments(desk, bot, cast(Any, None)))


class MemoryLinks:
    """The desk's tables in dictionaries."""

    def __init__(self) -> None:
        self.kept: dict[str, TrackedPayment] = {}
        self.charges: dict[str, str] = {}

    async def reserve(self, link: TrackedPayment, provider: str) -> None:
        self.kept.setdefault(link.payment, link)

    async def link(self, payment: str) -> TrackedPayment | None:
        return self.kept.get(payment)

    async def set_message(self, payment: str, chat_id: int, message_id: int) -> None:
        self.kept[payment] = replace(self.kept[payment], chat_id=chat_id, message_id=message_id)

    async def release(self, payment: str) -> None:
        self.kept.pop(payment, None)

    async def unwatch(self, payment: str, refund: str = "") -> None:
        pass


class SilentYooKassa:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.checked: list[str] = []

    async def make(self, payment: str) -> None:
        self.made.append(payment)

    async def check(self, payment: str) -> None:
        self.checked.append(payment)
        raise PaymentPendingError("nothing is known")
