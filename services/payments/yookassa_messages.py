"""YooKassa's requests and responses: bodies, metadata, parsing. Pure.

A payment's words are made once and then only repeated (TrackingStore.ask). Its metadata carry the whole
order, so that it can be rebuilt should our log have gone back in time; nothing in them names a person.
"""

import re
import uuid
from typing import Any, Final

import msgspec

from events.payment import MoneyFacts, PaymentOrdered, Receipt, RefundIntended
from services.adapters.yookassa.records import PaymentRecord, RefundRecord, amount_text, epoch_us
from services.platform.ids import Code, is_id, told
from services.platform.settings import Settings

SYSTEM: Final = "neurocards"
_NAMESPACE: Final = uuid.UUID("3f0c2a53-2f2b-5a0e-9c39-6a4f7f6f8f10")
_ORDER: Final = (
    "account",
    "package",
    "credits",
    "amount_minor",
    "life_s",
    "line",
    "locale",
    "buyer",
    "country",
)
"""What of an order stands in a payment's metadata."""
_RECEIPT: Final = ("vat_code", "payment_mode", "payment_subject")
"""What of a receipt stands there, in the order of `Receipt`."""
_EMAIL: Final = re.compile(r"[^\s@<>\"',;:()\\]{1,64}@[^\s@<>\"',;:()\\]{1,180}\.[^\s@<>\"',;:()\\.\d]{2,63}")
_PHONE: Final = re.compile(r"\+?[\d\s()-]{11,25}")


def payment_key(payment: str) -> str:
    """The idempotency key under which a payment is made; never changes."""
    return str(uuid.uuid5(_NAMESPACE, f"payment:{payment}"))


def refund_key(refund: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"refund:{refund}"))


def contact_in(text: str) -> str | None:
    """An e-mail address or phone number's digits (`79001234567`) in a text; or None."""
    text = text.strip()
    if _EMAIL.fullmatch(text):
        return text
    digits = re.sub(r"\D", "", text)
    if _PHONE.fullmatch(text) and digits.isascii() and 11 <= len(digits) <= 15:
        return "7" + digits[1:] if len(digits) == 11 and digits[0] == "8" else digits
    return None


def payment_words(
    settings: Settings, payment: str, ordered: PaymentOrdered, return_url: str, contact: str | None
) -> dict[str, Any]:
    words: dict[str, Any] = {
        "amount": amount_text(ordered.amount_minor),
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": return_url},
        "description": ordered.line,
        "metadata": metadata(payment, ordered),
    }
    if settings.yookassa_receipts and contact:
        _add_receipt(words, settings, ordered.line, ordered.amount_minor, contact)
    return words


def refund_words(
    settings: Settings, intent: RefundIntended, ordered: PaymentOrdered, contact: str | None
) -> dict[str, Any]:
    """The body of a refund call. The operator's reason stays in the ledger."""
    words: dict[str, Any] = {
        "payment_id": intent.provider_payment,
        "amount": amount_text(intent.amount_minor),
        "description": ordered.line,
        "metadata": {"system": SYSTEM, "refund": intent.refund},
    }
    if settings.yookassa_receipts and contact:
        _add_receipt(words, settings, ordered.line, intent.amount_minor, contact)
    return words


def metadata(payment: str, ordered: PaymentOrdered) -> dict[str, str]:
    order = {name: getattr(ordered, name) for name in _ORDER}
    texts = {name: "" if value is None else str(value) for name, value in order.items()}
    return {"system": SYSTEM, "order_id": payment} | texts


def payment_in(record: PaymentRecord) -> str | None:
    """Our payment's id; None when it is none of ours."""
    payment = record.texts.get("order_id", "")
    ours = record.texts.get("system") == SYSTEM and is_id(payment)
    return payment if ours else None


def order_in(record: PaymentRecord) -> PaymentOrdered | None:
    """The order in a payment's metadata; None when they do not hold one."""
    order: dict[str, Any] = {name: record.texts.get(name) for name in _ORDER}
    order |= {name: order[name] or None for name in ("life_s", "buyer", "country")}
    order |= {"currency": record.amount.currency, "test": record.test}
    order |= {"provider": "yookassa", "shop": record.recipient.account_id, "restored": True}
    try:
        return msgspec.convert(order, PaymentOrdered, strict=False)
    except msgspec.ValidationError:
        return None


def payment_facts(record: PaymentRecord) -> MoneyFacts:
    income = record.income_minor
    return MoneyFacts(
        at_us=record.captured_at_us,
        income_minor=income,
        fee_minor=None if income is None else record.amount.minor - income,
        method=record.method,
        receipt=_receipt_in(record),
    )


def refund_facts(record: RefundRecord) -> MoneyFacts:
    """Facts of a refund; YooKassa says nothing of a fee for it."""
    return MoneyFacts(at_us=epoch_us(record.created_at), receipt=_receipt_in(record))


def _receipt_in(record: PaymentRecord | RefundRecord) -> Receipt | None:
    """How the receipt stands, and what our words had it say; None when there is none."""
    says = (told(record.texts.get(name), Code) for name in _RECEIPT)
    receipt = Receipt(told(record.receipt_registration, Code), *says)
    return receipt if receipt != Receipt() else None


def _add_receipt(
    words: dict[str, Any], settings: Settings, line: str, amount_minor: int, contact: str
) -> None:
    """Add the receipt, and what it says to the metadata: the provider shows no receipt again."""
    receipt = _receipt(settings, line, amount_minor, contact)
    words["receipt"] = receipt
    words["metadata"] |= {name: str(receipt["items"][0][name]) for name in _RECEIPT}


def _receipt(settings: Settings, line: str, amount_minor: int, contact: str) -> dict[str, Any]:
    receipt: dict[str, Any] = {
        "customer": {"email" if "@" in contact else "phone": contact},
        "items": [
            {
                "description": line,
                "quantity": "1.00",
                "amount": amount_text(amount_minor),
                "vat_code": settings.yookassa_vat_code,
                "payment_mode": settings.yookassa_payment_mode,
                "payment_subject": settings.yookassa_payment_subject,
            }
        ],
    }
    if settings.yookassa_tax_system is not None:
        receipt["tax_system_code"] = settings.yookassa_tax_system
    return receipt
