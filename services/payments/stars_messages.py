"""What an invoice in Stars carries, and whether a payment of it may go on. Pure.

The payload is all that Telegram keeps of an order: our payment's id, and enough to rebuild the order should
our log have gone back in time. An invoice stays in the chat, can be forwarded, and can be paid again.
"""

import re
from typing import Final, Literal

import msgspec

from events.payment import PaymentOrdered
from ledger.accounts.state import AccountState
from ledger.payments.state import PaymentState
from services.adapters.telegram.stars import STARS

START_PARAMETER: Final = "topup"
"""With one, a forwarded invoice has a link to the bot, and no button that pays for somebody else."""

_VERSION: Final = "nc1"
_PAYMENT: Final = re.compile(r"[0-9a-f]{24}")
_PARTS: Final = 6

Refusal = Literal["", "unknown", "foreign", "paid", "over", "price", "account"]
"""Why a payment must not go on; empty: it may."""


class Payload(msgspec.Struct, frozen=True):
    """What an invoice says of its order."""

    payment: str
    package: str
    credits: int
    life_s: int | None
    locale: str


def payload_of(payment: str, ordered: PaymentOrdered) -> str:
    """At most 128 bytes, whatever the package."""
    life = "" if ordered.life_s is None else str(ordered.life_s)
    return ":".join((_VERSION, payment, ordered.package, str(ordered.credits), life, ordered.locale))


def payload_in(text: str) -> Payload | None:
    """None when it is none of ours."""
    parts = text.split(":")
    if len(parts) != _PARTS or parts[0] != _VERSION or not _PAYMENT.fullmatch(parts[1]):
        return None
    _, payment, package, credits, life, locale = parts
    if not (credits.isdecimal() and (life.isdecimal() or not life)):
        return None
    return Payload(payment, package, int(credits), int(life) if life else None, locale)


def order_in(payload: Payload, account: str, amount: int) -> PaymentOrdered:
    """The order as the invoice has it."""
    return PaymentOrdered(
        account=account,
        provider="stars",
        package=payload.package,
        credits=payload.credits,
        amount_minor=amount,
        currency=STARS,
        shop="",
        test=False,
        life_s=payload.life_s,
        line=payload.package,
        locale=payload.locale,
        restored=True,
    )


def refusal(state: PaymentState, payer: AccountState, account: str, currency: str, amount: int) -> Refusal:
    """Whether `account` may pay so much for the payment now, by the ledger."""
    ordered = state.ordered
    if ordered is None or ordered.provider != "stars" or state.broken:
        return "unknown"
    if ordered.account != account:
        return "foreign"
    if state.received:
        return "paid"
    if state.cancelled or state.expired:
        return "over"
    if (currency, amount) != (ordered.currency, ordered.amount_minor):
        return "price"
    if payer.forgotten or payer.broken or not payer.opened:
        return "account"
    return ""
