"""Localized names: styles, reasons, moments; those of an order are the notifier's too."""

import html
from datetime import UTC, datetime
from typing import Final

from aiogram.utils.i18n import get_i18n, ngettext
from aiogram.utils.i18n import gettext as _
from babel.dates import format_datetime

from events.account import (
    CreditEvent,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
)
from events.job import JobQueued
from services.adapters.telegram.order_labels import credits_text, in_words, style_name, videos_text
from services.bot.order_history import Operation
from services.generation.prompts.styles import load_styles, style_of
from services.platform.catalogues import MOSCOW, N_


def moved_text(amount: int) -> str:
    """Credits with their sign."""
    return ("+" if amount > 0 else "−" if amount else "") + credits_text(abs(amount))


def grant_name(kind: str) -> str:
    return _(_GRANTS.get(kind, _BY_HAND))


def payment_state(state: str) -> str:
    return _(_PAYMENTS[state])


def days_text(days: float) -> str:
    number = max(1, round(days))
    return ngettext("{n} day", "{n} days", number).format(n=number)


_GRANTS: Final = {
    "bonus": N_("welcome gift"),
    "purchase": N_("top-up"),
    "promo": N_("promo code"),
    "referral": N_("for an invitation"),
    "correction": N_("given back: our clock was wrong"),
}
_BY_HAND: Final = N_("from support")
_PAYMENTS: Final = {
    "ordered": N_("⏳ not paid yet"),
    "pending": N_("⏳ not paid yet"),
    "succeeded": N_("✅ paid"),
    "cancelled": N_("✖️ did not go through"),
    "expired": N_("✖️ not paid in time"),
    "flagged": N_("⚠️ support is looking into it"),
    "refunding": N_("↩️ the money is on its way back"),
    "refunded_partly": N_("↩️ a part of the money is back"),
    "refunded": N_("↩️ the money is back"),
}


def style_mark(style: str) -> str:
    found = load_styles().get(style)
    return found.mark if found else "🎨"


def style_lines(style: str) -> str:
    """Mark, name and what it is."""
    line = in_words(style_of(style).line)
    return f"{style_mark(style)} <b>{html.escape(style_name(style))}</b>\n{html.escape(line)}"


def operation_name(operation: Operation) -> str:
    """An order that failed is named as such: its credits are back, and `amount` is 0."""
    videos, why = videos_text(operation.videos), refund_reason(operation.reason)
    if not isinstance(operation.event, CreditsCharged):
        return movement_name(operation.event)
    if not operation.failed:
        return _("order: {videos}").format(videos=videos)
    if operation.failed == operation.videos:
        return _("order: {videos} did not work out, credits back ({why})").format(videos=videos, why=why)
    text = _("order: {videos}, of them {failed} did not work out, credits for that back ({why})")
    return text.format(videos=videos, failed=operation.failed, why=why)


def movement_name(event: CreditEvent | JobQueued) -> str:
    match event:
        case CreditsGranted(kind=kind):
            return grant_name(kind)
        case CreditsCharged() | JobQueued():
            return _("a video")
        case CreditsRefunded(reason=reason):
            return _("refund: {reason}").format(reason=refund_reason(reason))
        case CreditsRevoked(kind="carried"):
            return _("owed from before")
        case CreditsRevoked():
            return _("withdrawn")
        case CreditsRestored():
            return _("returned")
        case CreditsExpired():
            return _("not used in time")


def refund_reason(error_class: str) -> str:
    match error_class:
        case "user_violation":
            return _("the service's content rules")
        case "bad_image":
            return _("the photo did not suit")
        case "timeout":
            return _("not ready in time")
        case "overloaded":
            return _("too many orders at that time")
        case "cancelled":
            return _("stopped by support")
        case "model_paused" | "provider_balance" | "rate_limited" | "transient":
            return _("the video service was unavailable")
        case _other:
            return _("a failure on our side")


def moment(at_us: int) -> str:
    """Moscow time in Russian, UTC in English; `clock_note` says so. With the year where it is another."""
    locale = get_i18n().current_locale
    zone = MOSCOW if locale == "ru" else UTC
    at = datetime.fromtimestamp(at_us / 1_000_000, zone)
    form = "d MMM HH:mm" if at.year == datetime.now(zone).year else "d MMM y HH:mm"
    return format_datetime(at, form, locale=locale).replace(" ", "\u00a0")  # on one line


def clock_note() -> str:
    return _("🕒 Times are UTC.")
