"""Events in a few words for people, without ids. Pure.

Each event type has its template, `words`. Beside `{field}` it may hold `{field:text|else}`: the text, with
the field in place of `%`, or the other when it says nothing. Credits, money and times are put in words.
"""

from datetime import UTC, datetime
from typing import Any, Final

from events import account, job, payment
from events.codec import Event, decode_data
from events.errors import CodecError

_WHOLE = {"XTR", "JPY", "KRW", "VND", "CLP"}
"""Currencies without a smaller unit; XTR is Telegram's Stars."""

_CREDITS: Final = frozenset({"amount", "credits", "price"})


def describe(event: Event) -> str:
    """An event in one line."""
    return event.words.format_map(_Fields(event))


def describe_stored(type_name: str, data: str | bytes) -> str:
    """A stored event in one line; why not, where this version cannot read it."""
    try:
        return describe(decode_data(type_name, data))
    except CodecError as error:
        return str(error)


class _Fields:
    def __init__(self, event: Event) -> None:
        self._event = event

    def __getitem__(self, name: str) -> "_Field":
        return _Field(self._event, name, getattr(self._event, name))


class _Field:
    def __init__(self, event: Event, name: str, value: Any) -> None:
        self._event, self._name, self._value = event, name, value

    def __format__(self, spec: str) -> str:
        if self._name == "parts":
            return _lots(self._value, spec)
        if not spec:
            return self._text()
        said, _, otherwise = spec.partition("|")
        is_one = self._name == "of" and self._value == 1  # an order of one job is not numbered
        text = self._text() if self._value and not is_one else ""
        return said.replace("%", text) if text else otherwise

    def _text(self) -> str:
        value = self._value
        if self._name in _CREDITS:
            return "1 credit" if value == 1 else f"{value} credits"
        if self._name == "amount_minor":
            return money(account.Paid(value, getattr(self._event, "currency", "")))
        match value:
            case account.Paid():
                return money(value)
            case payment.MoneyFacts():
                return _told(value, getattr(self._event, "currency", ""))
            case job.Failure():
                return value.error_class + (f" ({value.code})" if value.code else "")
            case job.Video():
                return f"{value.blob}, {value.size_bytes / 1e6:.1f} MB"
            case int() if self._name == "charged_milli":
                return f"{value / 1000:g} of the provider's credits"
            case int() if self._name == "day":
                return day(value * 86_400_000_000)
            case int() if self._name.endswith("at_us"):
                return day(value) if self._name == "expires_at_us" else _utc(value, "%H:%M:%S")
        return str(value)


def money(paid: account.Paid) -> str:
    """`49900 RUB minor units` as `499.00 RUB`."""
    if paid.currency in _WHOLE:
        return f"{paid.amount_minor} {paid.currency}"
    return f"{paid.amount_minor // 100}.{paid.amount_minor % 100:02d} {paid.currency}"


def _told(facts: payment.MoneyFacts, currency: str) -> str:
    receipt = facts.receipt or payment.Receipt()
    fee, income = facts.fee_minor, facts.income_minor
    said = [
        f"by {facts.method}" if facts.method else "",
        "" if fee is None else f"fee {money(account.Paid(fee, currency))}",
        "" if income is None else f"{money(account.Paid(income, currency))} left",
        f"receipt {receipt.status}" if receipt.status else "",
        f"VAT code {receipt.vat_code}" if receipt.vat_code else "",
        f"sold as {receipt.mode}" if receipt.mode else "",
    ]
    return ", ".join(part for part in said if part)


def day(time_us: int) -> str:
    return _utc(time_us, "%Y-%m-%d")


def _utc(time_us: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # events may hold any number
        return f"{time_us} us"


def _lots(parts: tuple[account.Part, ...], word: str) -> str:
    named = ", ".join(f"{part.amount} {word} lot {part.lot} ({part.kind})" for part in parts)
    if len(parts) == 1:
        named = f"{word} lot {parts[0].lot} ({parts[0].kind})"
    return f", {named}" if len(parts) > 1 else f" {named}" if named else ""
