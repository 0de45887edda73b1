"""Screens outside of making an order, localized."""

from typing import Final

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.i18n import gettext as _
from msgspec import Struct

from services.adapters.telegram.callback_data import AcceptTerms, ChooseLanguage, Menu, MenuAction, TopUp
from services.bot.context import TERMS_VERSION, BotContext
from services.bot.inputs import TEXT_CHARS_MAX, quote
from services.bot.screens.labels import credits_text

LANGUAGE_NAMES: Final = {"ru": "🇷🇺 Русский", "en": "🇬🇧 English"}


class Screen(Struct, frozen=True):
    """A message: HTML text and its buttons."""

    text: str
    buttons: InlineKeyboardMarkup | None = None


def button(text: str, data: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data)


def keyboard(*rows: list[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=list(rows))


def menu_button(text: str, action: MenuAction) -> InlineKeyboardButton:
    return button(text, Menu(action=action).pack())


def create_button() -> InlineKeyboardButton:
    return menu_button(_("🎬 Create a video"), MenuAction.CREATE)


def cabinet_button() -> InlineKeyboardButton:
    return menu_button(_("👤 My account"), MenuAction.CABINET)


def topup_button(draft: str = "") -> InlineKeyboardButton:
    """To the packages; `draft`: the order to come back to."""
    return button(_("💳 Top up"), TopUp(draft=draft).pack())


def home_button() -> InlineKeyboardButton:
    return menu_button(_("☰ Menu"), MenuAction.HOME)


def terms(shop: BotContext, locale: str, *, accepted: bool = False, photo: bool = False) -> Screen:
    """The terms, first or to be read again. `photo`: one has come and waits for them."""
    parts = [
        _(
            "👋 <b>Hello! I am NeuroCards.</b>\n"
            "Send me a photo of your product, and I will turn it into a short promo video "
            "for your marketplace listing."
        ),
        _(
            "<b>The terms in short:</b>\n"
            "• A video costs {price}. If it does not work out, the credits come back by themselves.\n"
            "• Send only photos and texts you have the right to use.\n"
            "• Nothing illegal, and no people without their consent.\n"
            "• Your photo and text go to the AI services that make the video, and nowhere else."
        ).format(price=credits_text(shop.model.price_credits)),
    ]
    if shop.settings.free_credits and not accepted:
        gift = credits_text(shop.settings.free_credits)
        parts.append(_("🎁 As a welcome gift you get <b>{gift}</b>.").format(gift=gift))
    if accepted:
        return Screen("\n\n".join(parts), keyboard([home_button()]))
    if photo:
        parts.append(_("📷 Your photo is kept: as soon as you accept, we go on with it."))
    parts.append(_("By tapping the button you accept the terms."))
    other = "en" if locale == "ru" else "ru"
    rows = keyboard(
        [button(_("✅ Accept and start"), AcceptTerms(version=TERMS_VERSION).pack())],
        [button(LANGUAGE_NAMES[other], ChooseLanguage(locale=other).pack())],
    )
    return Screen("\n\n".join(parts), rows)


def welcome(balance: int) -> Screen:
    text = _(
        "🎉 <b>Welcome!</b> You have {balance}.\n\n"
        "It takes three steps: a photo, a few words about the product, a style. "
        "A few minutes later the video is here."
    ).format(balance=credits_text(balance))
    return Screen(text, _menu_keyboard(False))


def menu(balance: int, *, unfinished: bool) -> Screen:
    """The menu; `unfinished`: there is an order to go on with."""
    text = _("<b>Menu</b>\nYour balance: {balance}.").format(balance=credits_text(balance))
    return Screen(text, _menu_keyboard(unfinished))


def _menu_keyboard(unfinished: bool) -> InlineKeyboardMarkup:
    rows = [[create_button()]]
    if unfinished:
        rows.insert(0, [menu_button(_("↩️ Go on with my order"), MenuAction.RESUME)])
    rows.append([cabinet_button(), topup_button()])
    rows.append(
        [menu_button(_("💬 Support"), MenuAction.SUPPORT), menu_button(_("🌐 Language"), MenuAction.LANGUAGE)]
    )
    return keyboard(*rows)


def help_screen(shop: BotContext) -> Screen:
    text = _(
        "<b>How it works</b>\n"
        "1. Send a photo of the product: as a photo or as a file (JPEG, PNG, WebP), up to 20 MB.\n"
        "2. Describe the product, up to {chars} characters.\n"
        "3. Choose a style and, if you like, add wishes.\n"
        "4. Choose how many videos and confirm. One video costs {price}.\n\n"
        "If a video does not work out, the credits come back by themselves, and I will tell you why.\n\n"
        "/menu – menu\n/cabinet – balance and history\n/topup – buy credits\n"
        "/cancel – drop the current order\n/language – language\n/support – support\n"
        "/paysupport – questions about a payment\n/terms – the terms"
    ).format(chars=TEXT_CHARS_MAX, price=credits_text(shop.model.price_credits))
    return Screen(text, keyboard([create_button()], [home_button()]))


def support(shop: BotContext, account: str) -> Screen:
    text = _(
        "💬 <b>Support</b>\n"
        "Write to {contact}. To help us find your orders quickly, "
        "please include this number: <code>{account}</code>"
    ).format(contact=quote(shop.settings.support_contact), account=quote(account))
    return Screen(text, keyboard([home_button()]))


def language() -> Screen:
    rows = [[button(name, ChooseLanguage(locale=locale).pack())] for locale, name in LANGUAGE_NAMES.items()]
    return Screen(_("🌐 Which language shall we speak?"), keyboard(*rows))
