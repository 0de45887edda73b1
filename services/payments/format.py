"""Sums of money as people read them."""

from decimal import Decimal
from typing import Final

from babel.numbers import format_decimal

STARS: Final = "XTR"
_SIGNS: Final = {"RUB": "₽"}


def money_text(amount_minor: int, currency: str, locale: str) -> str:
    """`1,790 ₽` or `300 ⭐`; kopecks only where there are some."""
    if currency == STARS:
        return f"{format_decimal(amount_minor, locale=locale)}\u00a0⭐"
    amount = Decimal(amount_minor) / 100
    pattern = "#,##0" if amount == int(amount) else "#,##0.00"
    return f"{format_decimal(amount, pattern, locale=locale)}\u00a0{_SIGNS.get(currency, currency)}"
