"""Screens on the way to a payment, localized; from then on the notifier tells."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from aiogram.types import InlineKeyboardButton
from aiogram.utils.i18n import get_i18n
from aiogram.utils.i18n import gettext as _

from events.payment import Provider
from services.adapters.telegram.callback_data import BackToOrder, Buy, Packages, PayBy
from services.adapters.telegram.order_labels import credits_text
from services.bot.chat_state import Buying
from services.bot.checkout import Checkout
from services.bot.inputs import quote
from services.bot.screens.labels import days_text
from services.bot.screens.menu import Screen, button, cabinet_button, keyboard
from services.payments.packages import Package, Price, money_text

_DAY_S: Final = 86_400


def packages(checkout: Checkout, balance: int, draft: str, lacking: int, video_credits: int) -> Screen:
    """The packages. `lacking`: credits for the order `draft`; `video_credits`: what one video costs."""
    parts = [_("💳 <b>Top up</b>\nYour balance: {balance}.").format(balance=credits_text(balance))]
    if lacking > 0:
        parts[0] += " " + _("Your order needs {missing} more.").format(missing=credits_text(lacking))
    rows = []
    for package in checkout.packages:
        credits, prices = credits_text(package.credits), checkout.prices(package).values()
        data = Buy(package=package.id, draft=draft).pack()
        rows.append([button(f"{credits} · {_either(prices)}", data)])
        each = _either([price.per_video(package.credits, video_credits) for price in prices])
        line = _("• <b>{credits}</b>: {price} per video").format(credits=credits, price=each)
        if percent := _saving_percent(checkout, package):
            line += ", " + _("you save {percent} %").format(percent=percent)
        parts.append(line)
    parts.append(_("⭐ are Telegram Stars: Telegram sells them, and here they pay."))
    return Screen("\n".join(parts), keyboard(*rows, [_way_back(draft)]))


def _saving_percent(checkout: Checkout, package: Package) -> int:
    """Saving on a credit against the dearest package, by its first price."""
    provider = next(iter(checkout.prices(package)))
    sold = [(other.credits, checkout.prices(other).get(provider)) for other in (package, *checkout.packages)]
    each = [Fraction(price.amount_minor, credits) for credits, price in sold if price is not None]
    return int((1 - each[0] / max(each)) * 100)


def _either(prices: Iterable[Price]) -> str:
    locale = get_i18n().current_locale
    return " / ".join(money_text(price.amount_minor, price.currency, locale) for price in prices)


def how_to_pay(checkout: Checkout, package: Package, draft: str) -> Screen:
    parts = [f"🧾 <b>{credits_text(package.credits)}</b>"]
    if package.life_s is not None:
        days = days_text(package.life_s / _DAY_S)
        parts.append(_("Valid for {days} after the payment.").format(days=days))
    parts.append(_("How would you like to pay?"))
    rows = []
    for provider, price in checkout.prices(package).items():
        text = _way(provider).format(price=_either([price]))
        rows.append([button(text, PayBy(provider=provider, package=package.id, draft=draft).pack())])
    rows.append([button(_("◀️ Other packages"), Packages(draft=draft).pack())])
    return Screen("\n".join(parts), keyboard(*rows))


def contact(buying: Buying | None) -> Screen:
    text = _(
        "🧾 <b>Where shall the receipt go?</b>\n"
        "Write your e-mail or phone number: the law asks for a receipt. It is used for nothing else."
    )
    back = Packages(draft=buying.draft, payment=buying.payment) if buying else Packages(draft="")
    return Screen(text, keyboard([button(_("◀️ Other packages"), back.pack())]))


def not_a_contact() -> Screen:
    return Screen(
        _("✍️ This is neither an e-mail nor a phone number. For example: anna@example.com or +7 900 123-45-67")
    )


def preparing() -> Screen:
    """Payment begun, shown until the notifier has something newer."""
    return Screen(_("⏳ Preparing the payment, one moment…"))


def invoice_words() -> str:
    return _("Credits for videos of your products")


def pay_support(contact_words: str, account: str) -> Screen:
    """Contact for payment questions: Telegram's rules want this command."""
    text = _(
        "💳 <b>Questions about a payment</b>\n"
        "If credits did not come or you want your money back, write to {contact} with this number: "
        "<code>{account}</code>. We answer ourselves; Telegram's support cannot help with purchases here."
    ).format(contact=quote(contact_words), account=quote(account))
    return Screen(text, keyboard([cabinet_button()]))


def _way_back(draft: str) -> InlineKeyboardButton:
    return button(_("↩️ Back to my order"), BackToOrder(draft=draft).pack()) if draft else cabinet_button()


def _way(provider: Provider) -> str:
    if provider == "stars":
        return _("⭐ Telegram Stars: {price}")
    return _("💳 Card or SBP: {price}")
