"""Messages about payments, made from the payment as the ledger has it."""

from typing import Final

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from events.payment import PaymentOrdered
from ledger.payments.state import PaymentState
from services.adapters.telegram.callback_data import BackToOrder, CheckPayment, Menu, MenuAction, TopUp
from services.notifier.deliveries import Delivery, Waiting
from services.notifier.messages import Shown, Speech, button_to
from services.payments.orders import standing_of
from services.payments.packages import money_text
from services.platform.catalogues import N_, locale_for

_NO_MONEY: Final = ("insufficient_funds", "payment_method_limit_exceeded")
_LATE: Final = ("expired_on_confirmation", "expired_on_capture", "internal_timeout", "rejected_by_timeout")
_CARD: Final = (
    "card_expired",
    "invalid_card_number",
    "invalid_csc",
    "country_forbidden",
    "payment_method_restricted",
)
_BANK: Final = (
    "3d_secure_failed", "call_issuer", "fraud_suspected", "general_decline", "issuer_unavailable",
    "identification_required", "permission_revoked",
)  # fmt: skip


class Link(Waiting, frozen=True):
    """A payment's data outside the log: confirmation URL, last refusal.

    `over`: it was on the way to an order that is placed.
    """

    payment: str
    url: str | None
    cancelled_for: str
    over: bool


class PaymentMessages(Speech):
    def status(self, state: PaymentState, language: str, link: Link, balance: int | None) -> Shown:
        ordered, locale = state.ordered, locale_for(language)
        assert ordered is not None
        what = self._what(ordered, locale)
        match standing_of(state):
            case "paid":
                parts = ["✅ " + self._say("<b>Paid</b>", locale), what, *self._back(state, locale)]
                text = "\n".join([*parts, *self._balance(balance, locale)])
                return Shown(text, self._next(link, balance, locale, over=link.over))
            case "flagged":
                text = self._say("The payment is not what was ordered. Support is looking into it.", locale)
                return Shown(f"⚠️ {text}\n{what}")
            case "cancelled":
                text = "❌ " + self._say("<b>The payment did not go through</b>", locale)
                return self._once_more([text, what, self._reason(link, locale)], locale, link)
            case "expired":
                text = "⌛ " + self._say("<b>The time to pay is over</b>", locale)
                return self._once_more([text, what, self._say("Nothing was charged.", locale)], locale, link)
            case "ordered" | "pending" if ordered.provider == "stars":
                text = self._say(
                    "Pay with the button of the invoice below. This message changes by itself.", locale
                )
                return self._once_more([f"⭐ {what}", text], locale, link)
            case "pending" if link.url:
                return self._to_pay(ordered, locale, link)
            case _:
                return Shown("⏳ " + self._say("Preparing the payment, one moment…", locale) + f"\n{what}")

    def received(self, delivery: Delivery, balance: int | None) -> Shown:
        locale = locale_for(delivery.locale)
        title = self._say("Credits received", locale)
        parts = [f"💳 <b>{title}: {self._credits(delivery.refunded, locale)}</b>"]
        if delivery.kind == "paid_again":
            parts.append(
                self._say(
                    "This order was paid more than once, so its credits came again. "
                    "If that was a mistake, write to /support: we will send the money back.",
                    locale,
                )
            )
        parts += self._balance(balance, locale)
        return Shown("\n".join(parts), self._next(delivery, balance, locale))

    def _next(
        self, order: Waiting, balance: int | None, locale: str, *, over: bool = False
    ) -> InlineKeyboardMarkup | None:
        """What to do with the credits; `over`: nothing more."""
        menu = button_to("☰ " + self._say("Menu", locale), Menu(action=MenuAction.HOME))
        if order.waiting:
            back = button_to("↩️ " + self._say("Back to my order", locale), BackToOrder(draft=order.waiting))
            rows = [self._create(order, balance, locale) or [back]]
        elif over:
            return None
        else:
            rows = [[button_to("🎬 " + self._say("Create a video", locale), Menu(action=MenuAction.CREATE))]]
        return InlineKeyboardMarkup(inline_keyboard=[*rows, [menu]])

    def _to_pay(self, ordered: PaymentOrdered, locale: str, link: Link) -> Shown:
        price = money_text(ordered.amount_minor, ordered.currency, locale)
        text = self._say(
            "Pay on YooKassa's page. This message changes by itself when the money is there.", locale
        )
        paid = self._say("I have paid", locale)
        rows = [
            [InlineKeyboardButton(text=self._say("Pay {price}", locale).format(price=price), url=link.url)],
            [button_to("✅ " + paid, CheckPayment(payment=link.payment))],
            [self._another(locale, link.waiting or "")],
        ]
        shown = f"💳 {self._what(ordered, locale)}\n{text}"
        return Shown(shown, InlineKeyboardMarkup(inline_keyboard=rows))

    def _once_more(self, parts: list[str], locale: str, link: Link) -> Shown:
        rows = [[self._another(locale, link.waiting or "")]]
        return Shown("\n".join(parts), InlineKeyboardMarkup(inline_keyboard=rows))

    def _another(self, locale: str, draft: str) -> InlineKeyboardButton:
        return button_to("🔄 " + self._say("Choose again", locale), TopUp(draft=draft))

    def _what(self, ordered: PaymentOrdered, locale: str) -> str:
        price = money_text(ordered.amount_minor, ordered.currency, locale)
        return f"{self._credits(ordered.credits, locale)}: {price}"

    def _back(self, state: PaymentState, locale: str) -> list[str]:
        back = sum(received.refunded_minor for received in state.received)
        if not back or state.ordered is None:
            return []
        text = self._say("Sent back to you: {amount}", locale)
        return ["↩️ " + text.format(amount=money_text(back, state.ordered.currency, locale))]

    def _reason(self, link: Link, locale: str) -> str:
        nothing = self._say("Nothing was charged.", locale)
        return f"{self._say(_why(link.cancelled_for), locale)} {nothing}"


def _why(reason: str) -> str:
    if reason in _NO_MONEY:
        return N_("There was not enough money, or a limit was reached.")
    if reason in _LATE:
        return N_("It was not paid in time.")
    if reason in _CARD:
        return N_("The card was not accepted. Please try another one.")
    if reason in _BANK:
        return N_("The bank declined it. Please try another way to pay.")
    return N_("The payment service declined it. Please try again or another way.")
