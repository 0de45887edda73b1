"""Screens outside of making an order, localized."""

from collections.abc import Callable
from typing import Final

from aiogram.types import BotCommand, InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.i18n import gettext as _
from msgspec import Struct

from services.adapters.telegram.callback_data import (
    AcceptTerms,
    ChooseLanguage,
    Menu,
    MenuAction,
    MyData,
    TopUp,
)
from services.adapters.telegram.order_labels import credits_text
from services.bot.context import TERMS_VERSION, BotContext
from services.bot.inputs import TEXT_CHARS_MAX, quote
from services.bot.screens.labels import days_text

LANGUAGE_NAMES: Final = {"ru": "🇷🇺 Русский", "en": "🇬🇧 English"}


class Screen(Struct, frozen=True):
    """A message: HTML text and its buttons."""

    text: str
    buttons: InlineKeyboardMarkup | None = None
    example: str = ""
    """The style whose example a card shows instead of the photo."""


def button(text: str, data: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data)


def keyboard(*rows: list[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=[row for row in rows if row])


def menu_button(text: str, action: MenuAction) -> InlineKeyboardButton:
    return button(text, Menu(action=action).pack())


def page_row(number: int, total: int, data: Callable[[int], str]) -> list[InlineKeyboardButton]:
    """◀ 2/5 ▶ for page `number` of `total`, from 0; nothing for one page. `data`: of a page's button."""
    if total <= 1:
        return []
    row = [button("◀️", data(number - 1))] if number else []
    row.append(button(f"{number + 1}/{total}", data(number)))
    return [*row, button("▶️", data(number + 1))] if number + 1 < total else row


def create_button() -> InlineKeyboardButton:
    return menu_button(_("🎬 Create a video"), MenuAction.CREATE)


def cabinet_button() -> InlineKeyboardButton:
    return menu_button(_("👤 My account"), MenuAction.CABINET)


def videos_button() -> InlineKeyboardButton:
    return menu_button(_("🎞 My videos"), MenuAction.VIDEOS)


def data_button() -> InlineKeyboardButton:
    return button(_("🔒 My data"), MyData(do="show").pack())


def topup_button(draft: str = "", lacking: int = 0) -> InlineKeyboardButton:
    """To the packages; `draft`: the order to come back to, and the credits it lacks."""
    text = _("💳 Top up")
    if lacking:
        text = _("💳 Top up · {missing} missing").format(missing=credits_text(lacking))
    return button(text, TopUp(draft=draft).pack())


def home_button() -> InlineKeyboardButton:
    return menu_button(_("☰ Menu"), MenuAction.HOME)


def commands(*, invites: bool) -> list[BotCommand]:
    """What Telegram lists behind the menu button, in the current language."""
    described = {
        "create": _("Create a video"),
        "menu": _("Menu"),
        "videos": _("My videos"),
        "cabinet": _("Balance and history"),
        "topup": _("Buy credits"),
        "promo": _("Use a promo code"),
        "invite": _("Invite a friend"),
        "help": _("How it works"),
        "language": _("Language"),
        "support": _("Support"),
        "paysupport": _("Questions about a payment"),
        "terms": _("The terms"),
        "privacy": _("Your data"),
        "cancel": _("Drop the current order"),
    }
    return [
        BotCommand(command=name, description=text)
        for name, text in described.items()
        if invites or name != "invite"
    ]


def description(gift: int) -> str:
    """What Telegram shows in a chat that has not begun: up to 512 characters."""
    parts = [
        _(
            "Promo videos for marketplaces, from one photo of your product.\n\n"
            "📷 Send a photo with a few words about it\n"
            "🎨 Choose a style: unboxing, in hands, close-up and more\n"
            "🎬 A few minutes later the video is here\n\n"
            "If it does not work out, your credits come back by themselves."
        )
    ]
    if gift:
        parts.append(_("🎁 To begin with, you get {gift} as a gift.").format(gift=credits_text(gift)))
    return "\n".join(parts)


def short_description() -> str:
    """What Telegram shows on the bot's page and with its link: up to 120 characters."""
    return _(
        "One photo of a product becomes a promo video for your marketplace listing. In minutes, in this chat."
    )


def terms(shop: BotContext, locale: str, *, kept: bool = False, gift: int = 0) -> Screen:
    """What it is and the terms in two lines. `kept`: a photo or link has come and waits for them.

    `gift`: credits that come with them.
    """
    parts = [
        _(
            "👋 <b>Hello! I am NeuroCards.</b>\n"
            "Send me a photo of your product, and I will turn it into a short promo video "
            "for your marketplace listing."
        )
    ]
    if gift:
        words = _("🎁 As a welcome gift you get <b>{gift}</b>.")
        parts.append(words.format(gift=credits_text(gift)))
    if kept:
        parts.append(_("📌 What you have sent is kept: as soon as you accept, we go on with it."))
    parts.append(
        _(
            "A video costs {price}; if it does not work out, the credits come back by themselves.\n"
            "By tapping “Accept and start” you accept the terms."
        ).format(price=credits_text(shop.model.price_credits))
    )
    other = "en" if locale == "ru" else "ru"
    rows = keyboard(
        [_accept_button()],
        [menu_button(_("📄 Read the terms"), MenuAction.TERMS)],
        [button(LANGUAGE_NAMES[other], ChooseLanguage(locale=other).pack())],
    )
    return Screen("\n\n".join(parts), rows)


def _accept_button() -> InlineKeyboardButton:
    return button(_("✅ Accept and start"), AcceptTerms(version=TERMS_VERSION).pack())


def whole_terms(shop: BotContext, *, accepted: bool) -> Screen:
    text = _(
        "📄 <b>The terms</b>\n"
        "• A video of {seconds} s costs {price}, a longer one in proportion. You see the price "
        "before you confirm.\n"
        "• If a video does not work out or is not ready in time, its credits come back by themselves.\n"
        "• Credits are spent here only. Questions about a payment and money back: /paysupport\n"
        "• Send only photos and texts you have the right to use.\n"
        "• Nothing illegal, and no people without their consent.\n"
        "• AI makes the videos: details may differ from the product. Check a video before you publish it. "
        "It is yours to use.\n"
        "• What happens to your photos, texts and data: /privacy"
    ).format(seconds=shop.model.duration_s, price=credits_text(shop.model.price_credits))
    return Screen(text, keyboard([home_button() if accepted else _accept_button()]))


def privacy(shop: BotContext) -> Screen:
    keep = shop.settings
    text = _(
        "🔒 <b>Your data</b>\n"
        "• I keep what you send for an order: photo and words, {orders} after it; videos, {videos}; "
        "and your Telegram number and language, to answer you.\n"
        "• Photo and words go to the AI services that check them and make the video, and nowhere else.\n"
        "• YooKassa or Telegram takes your money: I never see your card. "
        "An address for the receipt is kept for {contacts}.\n"
        "• The book of credits has no names: only a random number.\n"
        "• All of it as a file, or to have it deleted: the button below."
    ).format(
        orders=days_text(keep.orders_keep_days),
        videos=days_text(keep.videos_keep_days),
        contacts=days_text(keep.contacts_keep_days),
    )
    return Screen(text, keyboard([data_button()], [home_button()]))


def welcome(balance: int, *, gift: bool = True) -> Screen:
    """`gift`: the day's welcome gifts were not gone."""
    text = _(
        "🎉 <b>Welcome!</b> You have {balance}.\n\n"
        "It takes three steps: a photo, a few words about the product, a style. "
        "A few minutes later the video is here."
    ).format(balance=credits_text(balance))
    if not gift:
        text += "\n\n" + _("🎁 Today's welcome gifts are all given away: you start without one.")
    return Screen(text, _menu_keyboard(False))


def menu(balance: int, *, unfinished: bool) -> Screen:
    """The menu; `unfinished`: there is an order to go on with."""
    text = _("<b>Menu</b>\nYour balance: {balance}.").format(balance=credits_text(balance))
    return Screen(text, _menu_keyboard(unfinished))


def _menu_keyboard(unfinished: bool) -> InlineKeyboardMarkup:
    rows = [[create_button()]]
    if unfinished:
        rows.insert(0, [menu_button(_("↩️ Go on with my order"), MenuAction.RESUME)])
    rows += [
        [videos_button(), cabinet_button()],
        [topup_button()],
        [
            menu_button(_("💬 Support"), MenuAction.SUPPORT),
            menu_button(_("🌐 Language"), MenuAction.LANGUAGE),
        ],
    ]
    return keyboard(*rows)


def help_screen(shop: BotContext) -> Screen:
    text = _(
        "<b>How it works</b>\n"
        "1. Send a photo of the product with a few words about it: what it is and what is special about it.\n"
        "2. Choose a style on the card under the photo. Format, length and number can be changed "
        "there, too.\n"
        "3. Tap “Create”. One video of {seconds} s costs {price}.\n\n"
        "<b>For a good video</b>\n"
        "• The whole product, in good light, without text over it; JPEG, PNG or WebP, up to 20 MB.\n"
        "• Words up to {chars} characters. Send them again or edit your message to change them.\n\n"
        "<b>If something is wrong</b>\n"
        "• A video that does not work out costs nothing: the credits come back, and I say why.\n"
        "• Where is my video? /cabinet\n"
        "• A payment has not arrived: /paysupport\n"
        "• Anything else: /support\n\n"
        "/topup – buy credits\n/promo – enter a promo code\n/invite – invite a friend\n"
        "/language – language\n/cancel – drop the current order\n/terms – the terms\n/privacy – your data"
    ).format(
        chars=TEXT_CHARS_MAX, price=credits_text(shop.model.price_credits), seconds=shop.model.duration_s
    )
    return Screen(text, keyboard([create_button()], [home_button()]))


def support(shop: BotContext, account: str) -> Screen:
    text = _(
        "💬 <b>Support</b>\n"
        "Write to {contact}. To help us find your orders quickly, "
        "please include this number: <code>{account}</code>"
    ).format(contact=quote(shop.settings.support_contact), account=quote(account))
    return Screen(text, keyboard([home_button()]))
