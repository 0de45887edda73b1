"""Buying credits: packages, ways to pay, receipt's address, status message.

    packages ──▶ how to pay ──▶ (receipt's address) ──▶ status message ──▶ credits, and back to the order

The message that was tapped becomes the status message. It is edited *before* the payment is ordered: the
notifier edits it from that commit on, and so nothing older can be shown over something newer. The payment's
id is made from the message, so that a second tap, or an update that comes again after a kill at any point,
orders the same payment; the provider is then asked with the same key and words.

What Telegram tells of Stars has happened, whoever it came from and wherever: an invoice can be forwarded and
paid in a group, even in the group's name. So it is settled before any filter, any terms and any step. An
update that comes again, or after a kill, is the same charge and changes nothing (the ledger's key).
"""

from typing import Any, Final

import structlog
from aiogram import BaseMiddleware, Bot, F, Router
from aiogram.filters import Command, or_f
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message, PreCheckoutQuery, TelegramObject, User
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from events.payment import Provider
from ledger.errors import AlreadyExistsError, KeyReusedError, SalesPausedError, WhyPaused
from services.accounts.personal_data import Account
from services.adapters.telegram.callback_data import (
    Buy,
    CheckPayment,
    Menu,
    MenuAction,
    Packages,
    PayBy,
    TopUp,
)
from services.adapters.telegram.client import edit_text
from services.adapters.telegram.order_labels import credits_text
from services.adapters.telegram.stars import answer_pre_checkout
from services.bot.chat_state import Awaiting, Buying, load_data, save_data
from services.bot.checkout import payment_id
from services.bot.context import BotContext, Person
from services.bot.inputs import is_plain_text
from services.bot.middleware import Handler
from services.bot.replies import Conversation, send_screen
from services.bot.screens import topup as screens
from services.bot.screens.menu import Screen, cabinet_button, keyboard
from services.bot.screens.refusals import paused_text
from services.payments.stars import Refusal
from services.payments.yookassa_messages import contact_in
from services.platform.catalogues import N_, locale_for

logger = structlog.get_logger()
router = Router(name="topup")

_REFUSALS: Final[dict[Refusal, str]] = {
    "paid": N_("This invoice is paid already. To buy more, open /topup."),
    "over": N_("This invoice is out of date. Please choose again: /topup."),
    "price": N_("The price of this invoice has changed. Please choose again: /topup."),
    "foreign": N_("This is someone else's invoice. Open /topup for your own."),
    "paused": N_("We are taking no payments right now. You have paid nothing; please come back later."),
    "account": N_("This account cannot buy. Please write to /support."),
    "unknown": N_("I do not know this invoice. Please choose again: /topup."),
}


async def sales_closed(event: TelegramObject, shop: BotContext) -> dict[str, WhyPaused] | bool:
    why = await shop.sales_closed()
    return {"why": why} if why else False


@router.message(Command("topup", "buy"), sales_closed)
@router.callback_query(
    or_f(Menu.filter_action(MenuAction.TOPUP), TopUp.filter(), Packages.filter(), Buy.filter()), sales_closed
)
async def closed(event: TelegramObject, chat: Conversation, why: WhyPaused) -> None:
    await leave_contact(chat.state)
    await chat.send_screen(_closed(why))


def _closed(why: WhyPaused) -> Screen:
    return Screen(paused_text(why), keyboard([cabinet_button()]))


@router.message(Command("topup", "buy"))
@router.callback_query(Menu.filter_action(MenuAction.TOPUP))
async def topup(event: TelegramObject, chat: Conversation) -> None:
    await offer_packages(chat, "")


@router.callback_query(TopUp.filter())
async def topup_for_order(query: CallbackQuery, callback_data: TopUp, chat: Conversation) -> None:
    """As a new message: the tapped one is an order's, or shows a payment."""
    await offer_packages(chat, callback_data.draft)


async def offer_packages(chat: Conversation, draft: str) -> None:
    await chat.send_screen(await _packages(chat, draft))


async def _packages(chat: Conversation, draft: str) -> Screen:
    """The packages; an order in the making says how much it lacks."""
    balance, waiting = await chat.balance(), await chat.shop.drafts.open(chat.person.account)
    lacking = waiting.price * waiting.number - balance if waiting is not None else 0
    price = chat.shop.model.price_credits
    return screens.packages(chat.shop.checkout, balance, draft, lacking, price)


@router.callback_query(Packages.filter())
async def packages_again(query: CallbackQuery, callback_data: Packages, chat: Conversation) -> None:
    buying = (await chat.load_data()).buying
    if buying is not None and buying.payment == callback_data.payment:  # not another purchase's button
        await leave_contact(chat.state)
    await chat.edit_screen(await _packages(chat, callback_data.draft))


@router.callback_query(Buy.filter())
async def buy(query: CallbackQuery, callback_data: Buy, chat: Conversation) -> None:
    package = chat.shop.checkout.package(callback_data.package)
    if package is None:
        await _not_sold(chat, callback_data.draft)
        return
    await chat.edit_screen(screens.how_to_pay(chat.shop.checkout, package, callback_data.draft))


@router.callback_query(PayBy.filter(F.provider.in_(("yookassa", "stars"))))
async def pay(query: CallbackQuery, callback_data: PayBy, chat: Conversation) -> None:
    provider: Provider = "stars" if callback_data.provider == "stars" else "yookassa"
    if chat.shop.checkout.package(callback_data.package, provider) is None:
        await _not_sold(chat, callback_data.draft)
        return
    payment = payment_id(chat.person.account, query, provider, callback_data.package)
    message_id = query.message.message_id if query.message is not None else 0
    buying = Buying(payment, callback_data.package, callback_data.draft, message_id)
    if provider == "yookassa" and chat.shop.settings.yookassa_receipts:
        await chat.edit_screen(screens.contact(buying))
        await chat.save_data(replace(await chat.load_data(), buying=buying))
        await chat.state.set_state(Awaiting.contact)
        return
    await order(chat, buying, provider)


@router.message(Awaiting.contact, is_plain_text)
async def contact(message: Message, chat: Conversation) -> None:
    """Take the receipt's address; it goes into the erasable table and nowhere else."""
    flow = await chat.load_data()
    address = contact_in(message.text or "")
    if flow.buying is None:
        await leave_contact(chat.state)
        await offer_packages(chat, "")
        return
    if address is None:
        await chat.send_screen(screens.not_a_contact())
        return
    if chat.shop.checkout.package(flow.buying.package, "yookassa") is None:
        await chat.send_screen(Screen(_("This is no longer on offer. Please choose again.")))
        await offer_packages(chat, flow.buying.draft)
    else:
        await order(chat, flow.buying, "yookassa", address)
    await leave_contact(chat.state, message.message_id)


async def is_taken(message: Message, state: FSMContext) -> bool:
    return (await load_data(state)).taken_message == message.message_id


@router.message(is_taken)
async def taken_again(message: Message) -> None:
    """The same update once more, after a kill: it was taken then."""


@router.message(Awaiting.contact, Command("cancel"))
async def cancel(message: Message, chat: Conversation) -> None:
    flow = await chat.load_data()
    await leave_contact(chat.state)
    await offer_packages(chat, flow.buying.draft if flow.buying else "")


async def leave_contact(state: FSMContext, taken_message: int = 0) -> None:
    if await state.get_state() != Awaiting.contact.state:
        return
    await save_data(state, replace(await load_data(state), buying=None, taken_message=taken_message))
    await state.set_state(None)


async def order(chat: Conversation, buying: Buying, provider: Provider, contact: str | None = None) -> None:
    if (await chat.shop.ledger.read.payment(buying.payment)).ordered is None:
        message_id = await _status_message(chat, buying)
        try:
            await chat.shop.checkout.orders.order(
                chat.person.account,
                buying.package,
                provider,
                locale=chat.person.locale,
                contact=contact,
                chat_id=chat.person.chat_id,
                message_id=message_id,
                draft=buying.draft or None,
                payment=buying.payment,
            )
        except SalesPausedError as error:
            screen = _closed(error.why)
            await edit_text(chat.bot, chat.person.chat_id, message_id, screen.text, screen.buttons)
            return
        except (KeyReusedError, AlreadyExistsError):  # by this very tap, at another price
            pass
        await chat.shop.checkout.orders.links.set_message(buying.payment, chat.person.chat_id, message_id)
        logger.info("payment_ordered", payment=buying.payment, provider=provider, package=buying.package)
    if provider == "yookassa":
        await chat.shop.checkout.make(buying.payment)
        return
    view = await chat.shop.checkout.orders.view(buying.payment)
    if view is not None:
        title, description = credits_text(view.ordered.credits), screens.invoice_words()
        await chat.shop.checkout.stars.invoice(
            buying.payment, chat.person.chat_id, title=title, description=description
        )


async def _status_message(chat: Conversation, buying: Buying) -> int:
    text = screens.preparing().text
    if buying.message_id and await edit_text(chat.bot, chat.person.chat_id, buying.message_id, text):
        return buying.message_id
    return await chat.send_screen(screens.preparing())


@router.callback_query(CheckPayment.filter())
async def i_have_paid(query: CallbackQuery, callback_data: CheckPayment, chat: Conversation) -> None:
    """Check now. Many taps are one look: those that waited behind it get its result."""
    checkout, payment = chat.shop.checkout, callback_data.payment
    view = await checkout.orders.view(payment)
    if view is None or view.ordered.account != chat.person.account:
        await chat.answer_tap(_("This button is not yours."), alert=True)
        return
    if view.standing in ("ordered", "pending") and not checkout.checked_recently(payment):
        view = await checkout.check(payment)
    if view is None:
        text = _("⏳ The payment service does not answer right now. I keep asking and will tell you.")
    elif view.standing == "paid":
        text = _("✅ Paid. The credits are on your account.")
    elif view.standing in ("ordered", "pending"):
        text = _("⏳ No payment has arrived yet. If you have paid, give it a minute: I will tell you.")
    else:
        text = _("This payment is over. See the message for what happened.")
    await chat.answer_tap(text, alert=True)


async def _not_sold(chat: Conversation, draft: str) -> None:
    await chat.edit_screen(await _packages(chat, draft))
    await chat.answer_tap(_("This is no longer on offer. Please choose again."))


@router.pre_checkout_query()
async def before(query: PreCheckoutQuery, bot: Bot, shop: BotContext, person: Person) -> None:
    """Telegram waits for ten seconds; without an answer nothing is paid."""
    found = await shop.checkout.stars.refusal(
        query.invoice_payload, person.account, query.currency, query.total_amount
    )
    in_time = await answer_pre_checkout(bot, query.id, _(_REFUSALS[found]) if found else "")
    logger.info("pre_checkout_answered", refusal=found, in_time=in_time, account=person.account)


class StarsMiddleware(BaseMiddleware):
    """Settles Telegram's messages about Stars, from any sender and chat. The credits are the order's owner's.
    The notifier tells them, in their own chat."""

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
        at_s = int(event.date.timestamp())
        await settle(told.invoice_payload, account, charge, told.currency, told.total_amount, at_s)
        owner = await stars.owner(told.invoice_payload)
        if payer and event.successful_payment and owner not in ("", payer.account):
            texts = self._shop.texts
            with texts.context(), texts.use_locale(payer.locale):
                await send_screen(data["bot"], payer.telegram_id, Screen(_for_another()))

    async def _payer(self, user: User | None) -> Account | None:
        """None for a payer in the name of a group: the order alone says whose it is."""
        if user is None or user.is_bot:
            return None
        return await self._shop.people.account_of(user.id, locale_for(user.language_code))


def _for_another() -> str:
    return _(
        "⭐ You have paid somebody else's invoice: the credits are theirs. "
        "If you did not mean to, open /paysupport."
    )
