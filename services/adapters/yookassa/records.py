"""What YooKassa says of a payment, a refund and the shop, read strictly; money in whole kopecks.

Read from the reply itself and not from the SDK's objects, so that a way to pay which the SDK does not know
cannot keep a paid credit back.
"""

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from services.adapters.yookassa.errors import UnknownError
from services.platform.ids import OutsideId, Unreadable, unreadable

CURRENCY: Final = "RUB"
_MINOR: Final = 100
_MINOR_MAX: Final = 10**12

PaymentStatus = Literal["pending", "waiting_for_capture", "succeeded", "canceled"]
RefundStatus = Literal["pending", "succeeded", "canceled"]
T = TypeVar("T")


class PaymentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the shop sees it. `amount_minor` in kopecks; `shop` is whose account it came to."""

    id: str
    status: PaymentStatus
    paid: bool
    amount_minor: int
    currency: str
    refunded_minor: int
    shop: str
    test: bool
    created_at_us: int
    confirmation_url: str | None
    metadata: Mapping[str, str]
    cancel_reason: str = ""
    cancel_party: str = ""


class RefundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Money that went, goes or would not go back."""

    id: str
    payment_id: str
    status: RefundStatus
    amount_minor: int
    currency: str
    created_at_us: int
    metadata: Mapping[str, str]
    cancel_reason: str = ""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list, the newest first; `cursor` continues it, None at its end."""

    items: tuple[T, ...]
    cursor: str | None
    unreadable: tuple[Unreadable, ...] = ()

    def require_readable(self) -> None:
        """For who has not found something here: raises UnknownError when it may be what cannot be read."""
        for item in self.unreadable:
            raise UnknownError("unreadable", f"{item.id or 'an item'} of a list: {item.reason}")


class ShopRecord(msgspec.Struct, frozen=True):
    """The shop itself. `receipts`: it sends receipts (54-FZ) through YooKassa."""

    shop: str
    enabled: bool
    test: bool
    receipts: bool


class _Amount(msgspec.Struct):
    value: str
    currency: str


class _Recipient(msgspec.Struct):
    account_id: str = ""


class _Cancellation(msgspec.Struct):
    party: str = ""
    reason: str = ""


class _Confirmation(msgspec.Struct):
    confirmation_url: str | None = None


class _Payment(msgspec.Struct, kw_only=True):
    id: OutsideId
    status: PaymentStatus
    paid: bool
    amount: _Amount
    created_at: str
    refunded_amount: _Amount | None = None
    recipient: _Recipient = msgspec.field(default_factory=_Recipient)
    test: bool = False
    confirmation: _Confirmation | None = None
    metadata: dict[str, Any] | None = None
    cancellation_details: _Cancellation | None = None


class _Refund(msgspec.Struct, kw_only=True):
    id: OutsideId
    payment_id: OutsideId
    status: RefundStatus
    amount: _Amount
    created_at: str
    metadata: dict[str, Any] | None = None
    cancellation_details: _Cancellation | None = None


class _Fiscalization(msgspec.Struct):
    enabled: bool = False


class _Me(msgspec.Struct):
    account_id: str
    status: str = "enabled"
    test: bool = False
    fiscalization: _Fiscalization | None = None


class _List(msgspec.Struct):
    items: list[Any]
    next_cursor: str | None = None


def amount_text(minor: int) -> dict[str, str]:
    """39000 → {"value": "390.00", "currency": "RUB"}"""
    return {"value": f"{minor // _MINOR}.{minor % _MINOR:02d}", "currency": CURRENCY}


def payment(reply: Any) -> PaymentRecord:
    """Raises UnknownError when the reply is no payment."""
    read = _read(reply, _Payment)
    cancelled = read.cancellation_details or _Cancellation()
    return PaymentRecord(
        id=read.id,
        status=read.status,
        paid=read.paid,
        amount_minor=_minor(read.amount.value),
        currency=read.amount.currency,
        refunded_minor=_minor(read.refunded_amount.value) if read.refunded_amount else 0,
        shop=read.recipient.account_id,
        test=read.test,
        created_at_us=_moment(read.created_at),
        confirmation_url=read.confirmation.confirmation_url if read.confirmation else None,
        metadata=_texts(read.metadata),
        cancel_reason=cancelled.reason,
        cancel_party=cancelled.party,
    )


def refund(reply: Any) -> RefundRecord:
    """Raises UnknownError when the reply is no refund."""
    read = _read(reply, _Refund)
    return RefundRecord(
        id=read.id,
        payment_id=read.payment_id,
        status=read.status,
        amount_minor=_minor(read.amount.value),
        currency=read.amount.currency,
        created_at_us=_moment(read.created_at),
        metadata=_texts(read.metadata),
        cancel_reason=read.cancellation_details.reason if read.cancellation_details else "",
    )


def page_of_payments(reply: Any) -> Page[PaymentRecord]:
    """Raises UnknownError when the reply is no list."""
    return _page(reply, payment)


def page_of_refunds(reply: Any) -> Page[RefundRecord]:
    """Raises UnknownError when the reply is no list."""
    return _page(reply, refund)


def shop(reply: Any) -> ShopRecord:
    """Raises UnknownError when the reply does not describe a shop."""
    read = _read(reply, _Me)
    receipts = read.fiscalization is not None and read.fiscalization.enabled
    return ShopRecord(read.account_id, read.status == "enabled", read.test, receipts)


def _page(reply: Any, read: Callable[[Any], T]) -> Page[T]:
    """One item that cannot be read, a stranger's maybe, must not hide the others."""
    listed, items, broken = _read(reply, _List), [], []
    for item in listed.items:
        try:
            items.append(read(item))
        except UnknownError as error:
            broken.append(unreadable(item, error))
    return Page(tuple(items), listed.next_cursor, tuple(broken))


def _texts(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """What is text there; all of ours is, and a stranger's payment may hold anything."""
    return {name: value for name, value in (metadata or {}).items() if isinstance(value, str)}


Read = TypeVar("Read")


def _read(reply: Any, kind: type[Read]) -> Read:
    try:
        return msgspec.convert(reply, kind)
    except msgspec.ValidationError as error:
        raise UnknownError("unreadable", str(error)) from error


def _minor(value: str) -> int:
    """ "390.00" → 39000, exactly."""
    try:
        minor = Decimal(value) * _MINOR
    except InvalidOperation as error:
        raise UnknownError("unreadable", f"amount {value[:40]!r}") from error
    if not minor.is_finite() or minor != int(minor) or not 0 <= minor <= _MINOR_MAX:
        raise UnknownError("unreadable", f"amount {value[:40]!r}")
    return int(minor)


def _moment(text: str) -> int:
    """`2026-11-22T14:30:45.129Z` in epoch microseconds."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UnknownError("unreadable", f"time {text[:40]!r}") from error
    if moment.tzinfo is None:
        raise UnknownError("unreadable", f"time {text[:40]!r} without a zone")
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
