"""Telegram Stars: the question before a payment, the payment, and Stars that went back.

What Telegram tells here happened, whoever sent it may be: no terms, no step and no other router stands before
it. An update that comes again, or after a kill, is the same charge and changes nothing (the ledger's key).
"""

import structlog
from aiogram import Bot, F, Router
from aiogram.types import Message, PreCheckoutQuery
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram_stars import answer_pre_checkout
from services.bot.shop import Person, Shop
from services.shared.payments.stars_words import Refusal

logger = structlog.get_logger()
router = Router(name="stars")


@router.pre_checkout_query()
async def before(query: PreCheckoutQuery, bot: Bot, shop: Shop, person: Person) -> None:
    """Telegram waits for ten seconds; without an answer nothing is paid."""
    found = await shop.till.stars.refusal(
        query.invoice_payload, person.account, query.currency, query.total_amount
    )
    in_time = await answer_pre_checkout(bot, query.id, _sentence(found))
    logger.info("pre_checkout_answered", refusal=found, in_time=in_time, account=person.account)


@router.message(F.successful_payment)
async def paid(message: Message, shop: Shop, person: Person) -> None:
    """The notifier tells the rest."""
    payment = message.successful_payment
    assert payment is not None
    await shop.till.stars.paid(
        payment.invoice_payload,
        person.account,
        payment.telegram_payment_charge_id,
        payment.currency,
        payment.total_amount,
    )


@router.message(F.refunded_payment)
async def refunded(message: Message, shop: Shop, person: Person) -> None:
    payment = message.refunded_payment
    assert payment is not None
    await shop.till.stars.refunded(
        payment.invoice_payload,
        person.account,
        payment.telegram_payment_charge_id,
        payment.currency,
        payment.total_amount,
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
