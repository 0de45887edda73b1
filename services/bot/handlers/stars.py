"""Telegram Stars: the question before a payment, the payment, and Stars that went back.

What Telegram tells of a payment has happened, whoever it came from and wherever: an invoice can be forwarded
and paid in a group, even in the group's name. So it is settled before any filter, any terms and any step.
An update that comes again, or after a kill, is the same charge and changes nothing (the ledger's key).
"""

from typing import Any

import structlog
from aiogram import BaseMiddleware, Bot, Router
from aiogram.types import Message, PreCheckoutQuery, TelegramObject, User
from aiogram.utils.i18n import gettext as _

from services.accounts.personal_data import Account
from services.adapters.telegram.stars import answer_pre_checkout
from services.bot.context import BotContext, Person
from services.bot.middleware import Handler
from services.bot.replies import send_screen
from services.bot.screens.menu import Screen
from services.payments.stars import Refusal
from services.platform.i18n import locale_for

logger = structlog.get_logger()
router = Router(name="stars")


@router.pre_checkout_query()
async def before(query: PreCheckoutQuery, bot: Bot, shop: BotContext, person: Person) -> None:
    """Telegram waits for ten seconds; without an answer nothing is paid."""
    found = await shop.checkout.stars.refusal(
        query.invoice_payload, person.account, query.currency, query.total_amount
    )
    in_time = await answer_pre_checkout(bot, query.id, _sentence(found))
    logger.info("pre_checkout_answered", refusal=found, in_time=in_time, account=person.account)


class StarsMiddleware(BaseMiddleware):
    """Settles what Telegram says of Stars, whoever said it and in whichever chat; other messages go on.

    The credits are the order's owner's. The notifier tells them, in their own chat.
    """

    def __init__(self, shop: BotContext) -> None:
        self._shop = shop

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        assert isinstance(event, Message)
        told = event.successful_payment or event.refunded_payment
        if told is None:
            return await handler(event, data)
        stars, payer = self._shop.checkout.stars, await self._payer(event.from_user)
        settle = stars.paid if event.successful_payment else stars.refunded
        charge, account = told.telegram_payment_charge_id, payer.account if payer else ""
        await settle(told.invoice_payload, account, charge, told.currency, told.total_amount)
        owner = await stars.owner(told.invoice_payload)
        if payer and event.successful_payment and owner not in ("", payer.account):
            texts = self._shop.texts
            with texts.context(), texts.use_locale(payer.locale):
                await send_screen(data["bot"], payer.telegram_id, Screen(_for_another()))

    async def _payer(self, user: User | None) -> Account | None:
        """None for who pays in the name of a group: the order alone says whose it is."""
        if user is None or user.is_bot:
            return None
        return await self._shop.people.account_of(user.id, locale_for(user.language_code))


def _for_another() -> str:
    return _(
        "⭐ You have paid somebody else's invoice: the credits are theirs. "
        "If you did not mean to, open /paysupport."
    )


def _sentence(refusal: Refusal) -> str:
    """What the payer reads; nothing when they may pay."""
    match refusal:
        case "":
            return ""
        case "paid":
            return _("This invoice is paid already. To buy more, open /topup.")
        case "over":
            return _("This invoice is out of date. Please choose again: /topup.")
        case "price":
            return _("The price of this invoice has changed. Please choose again: /topup.")
        case "foreign":
            return _("This is someone else's invoice. Open /topup for your own.")
        case "account":
            return _("This account cannot buy. Please write to /support.")
        case "unknown":
            return _("I do not know this invoice. Please choose again: /topup.")
