"""A till that keeps everything in memory."""

from typing import Any, cast

from aiogram import Bot
from msgspec.structs import replace

from services.bot.till import Till
from services.shared.payments.desk import Desk
from services.shared.payments.errors import NotMadeYet
from services.shared.payments.links import Link
from services.shared.payments.stars_desk import StarsDesk
from services.shared.settings import Settings


def memory_till(settings: Settings, ledger: Any, bot: Bot) -> Till:
    """A till whose YooKassa makes nothing."""
    desk = Desk(settings, ledger, cast(Any, None), links=cast(Any, MemoryLinks()))
    return Till(desk, cast(Any, SilentYooKassa()), StarsDesk(desk, bot))


class MemoryLinks:
    """The desk's tables in dictionaries."""

    def __init__(self) -> None:
        self.kept: dict[str, Link] = {}
        self.charges: dict[str, str] = {}

    async def open(self, link: Link, provider: str) -> None:
        self.kept.setdefault(link.payment, link)

    async def link(self, payment: str) -> Link | None:
        return self.kept.get(payment)

    async def set_message(self, payment: str, chat_id: int, message_id: int) -> None:
        self.kept[payment] = replace(self.kept[payment], chat_id=chat_id, message_id=message_id)

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
        raise NotMadeYet("nothing is known")
