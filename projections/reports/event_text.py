"""Events in a few words for people, without ids. Pure.

Each event type has its template, `words`, which is a msgid of `texts` too. Beside `{field}` it may hold
`{field:text|else}`: the text, with the field in place of `%`, or the other when it says nothing. Credits,
money and times are put in words.
"""

from datetime import UTC, datetime
from gettext import NullTranslations
from typing import Any, Final

from events import account, job, payment
from events.codec import Event, decode_data
from events.errors import CodecError

_WHOLE = {"XTR", "JPY", "KRW", "VND", "CLP"}
"""Currencies without a smaller unit; XTR is Telegram's Stars."""

_CREDITS: Final = frozenset({"amount", "credits", "price"})


ENGLISH: Final = NullTranslations()


def describe(event: Event, texts: NullTranslations = ENGLISH) -> str:
    """An event in one line."""
    return texts.gettext(event.words).format_map(_Fields(event, texts))


def describe_stored(type_name: str, data: str | bytes, texts: NullTranslations = ENGLISH) -> str:
    """A stored event in one line; why not, where this version cannot read it."""
    try:
        return describe(decode_data(type_name, data), texts)
    except CodecError as error:
        return str(error)


class _Fields:
    def __init__(self, event: Event, texts: NullTranslations) -> None:
        self._event, self._texts = event, texts

    def __getitem__(self, name: str) -> "_Field":
        return _Field(self._event, name, getattr(self._event, name), self._texts)


class _Field:
    def __init__(self, event: Event, name: str, value: Any, texts: NullTranslations) -> None:
        self._event, self._name, self._value, self._texts = event, name, value, texts

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
            return self._texts.ngettext("{n} credit", "{n} credits", value).format(n=value)
        if self._name == "amount_minor":
            return money(account.Paid(value, getattr(self._event, "currency", "")))
        match value:
            case account.Paid():
                return money(value)
            case payment.MoneyFacts():
                return _told(value, getattr(self._event, "currency", ""), self._texts)
            case job.Failure():
                return value.error_class + (f" ({value.code})" if value.code else "")
            case job.Video():
                return self._texts.gettext("{file}, {mb} MB").format(
                    file=value.blob, mb=f"{value.size_bytes / 1e6:.1f}"
                )
            case int() if self._name == "charged_milli":
                return self._texts.gettext("{n} of the provider's credits").format(n=f"{value / 1000:g}")
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


def _told(facts: payment.MoneyFacts, currency: str, texts: NullTranslations) -> str:
    receipt = facts.receipt or payment.Receipt()
    fee, income = facts.fee_minor, facts.income_minor
    said = (
        (texts.gettext("by {it}"), facts.method),
        (texts.gettext("fee {it}"), None if fee is None else money(account.Paid(fee, currency))),
        (texts.gettext("{it} left"), None if income is None else money(account.Paid(income, currency))),
        (texts.gettext("receipt {it}"), receipt.status),
        (texts.gettext("VAT code {it}"), receipt.vat_code),
        (texts.gettext("sold as {it}"), receipt.mode),
    )
    return ", ".join(words.format(it=it) for words, it in said if it)


def day(time_us: int) -> str:
    return _utc(time_us, "%Y-%m-%d")


def _utc(time_us: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # events may hold any number
        return f"{time_us} us"


def _lots(parts: tuple[account.Part, ...], word: str) -> str:
    named = ", ".join(f"{part.amount} {word} {part.lot} ({part.kind})" for part in parts)
    if len(parts) == 1:
        named = f"{word} {parts[0].lot} ({parts[0].kind})"
    return f", {named}" if len(parts) > 1 else f" {named}" if named else ""
