"""Checkout: orders, YooKassa and Telegram Stars as the bot offers them."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiogram.types import CallbackQuery, Message

from events.payment import Provider
from services.adapters.yookassa.errors import YooKassaError
from services.payments.errors import PaymentNotCreatedError, PaymentPendingError
from services.payments.orders import PaymentOrders, PaymentView
from services.payments.packages import Package, Price
from services.payments.stars import StarsPayments
from services.payments.yookassa import YooKassaPayments

logger = structlog.get_logger()

PATIENCE_S: Final = 8.0
"""A provider that takes longer must not hold up the chat: a pre-checkout has ten seconds."""
CHECK_AGAIN_S: Final = 5.0


@dataclass(frozen=True)
class Checkout:
    orders: PaymentOrders
    yookassa: YooKassaPayments
    stars: StarsPayments
    checked_at: dict[str, float] = field(default_factory=dict)
    """When payments were checked lately, by this process: several ask YooKassa so many times more."""

    @property
    def providers(self) -> tuple[Provider, ...]:
        """Ways to pay. YooKassa's sandbox takes no real money: only those in Telegram's may use it."""
        settings = self.orders.settings
        yookassa = not settings.uses_sandbox_for("yookassa") or settings.uses_sandbox_for("telegram")
        return ("yookassa", "stars") if yookassa else ("stars",)

    def prices(self, package: Package) -> dict[Provider, Price]:
        return {name: price for name in self.providers if (price := package.price(name)) is not None}

    @property
    def packages(self) -> list[Package]:
        return [package for package in self.orders.packages if self.prices(package)]

    def package(self, package_id: str, provider: Provider | None = None) -> Package | None:
        """The package, if it is (still) sold, and in this way."""
        for package in self.packages:
            if package.id == package_id and (provider is None or provider in self.prices(package)):
                return package
        return None

    async def make(self, payment: str) -> None:
        """Have YooKassa make the payment. The outcome is in the ledger, and the notifier tells."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.yookassa.make(payment)
        except (PaymentNotCreatedError, PaymentPendingError, YooKassaError, TimeoutError) as error:
            logger.warning("payment_not_made_yet", payment=payment, reason=repr(error))

    async def check(self, payment: str) -> PaymentView | None:
        """The payment as YooKassa has it; None when it cannot be said now."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                view = await self.yookassa.check(payment)
        except (PaymentNotCreatedError, PaymentPendingError, YooKassaError, TimeoutError) as error:
            logger.warning("payment_not_read", payment=payment, reason=repr(error))
            return None
        finally:
            now = time.monotonic()
            for old in [name for name, at in self.checked_at.items() if now - at >= CHECK_AGAIN_S]:
                del self.checked_at[old]
            self.checked_at[payment] = now
        return view

    def checked_recently(self, payment: str) -> bool:
        return time.monotonic() - self.checked_at.get(payment, -CHECK_AGAIN_S) < CHECK_AGAIN_S


def payment_id(account: str, query: CallbackQuery, provider: str, package: str) -> str:
    """The id of the payment that a tap orders; the same for a second tap on the message."""
    message = query.message
    if isinstance(message, Message):  # an inaccessible one has no date; message ids may begin anew
        place = f"{message.message_id}:{int(message.date.timestamp())}"
    else:
        place = str(message.message_id) if message is not None else query.id
    return hashlib.sha256(f"{account}:{place}:{provider}:{package}".encode()).hexdigest()[:24]
