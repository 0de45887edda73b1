"""YooKassa's payment and refund records, parsed strictly; money in whole kopecks.

Read from the reply and not from the SDK's objects, so that a way to pay which the SDK does not know cannot
keep a paid credit back.
"""

import datetime
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec.structs import force_setattr

from services.adapters.yookassa.errors import UnknownError
from services.platform.ids import Code, OutsideId, Unreadable, told, unreadable

CURRENCY: Final = "RUB"
_MINOR: Final = 100
_MINOR_MAX: Final = 10**12

_EPOCH: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)

Moment = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
T = TypeVar("T")


def epoch_us(moment: datetime.datetime) -> int:
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


class Amount(msgspec.Struct, frozen=True):
    """An amount; `value` as the provider writes it ("390.00"), whole kopecks only."""

    value: str
    currency: str

    def __post_init__(self) -> None:
        try:
            minor = Decimal(self.value) * _MINOR
        except InvalidOperation:
            minor = Decimal("NaN")
        if not minor.is_finite() or minor != int(minor) or not 0 <= minor <= _MINOR_MAX:
            raise ValueError(f"amount {self.value[:40]!r}")

    @property
    def minor(self) -> int:
        return int(Decimal(self.value) * _MINOR)


class _Recipient(msgspec.Struct, frozen=True):
    account_id: str = ""


class _Cancellation(msgspec.Struct, frozen=True):
    party: str = ""
    reason: str = ""


class _Method(msgspec.Struct, frozen=True):
    type: Code


class _Confirmation(msgspec.Struct, frozen=True):
    confirmation_url: str | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    id: OutsideId
    amount: Amount
    created_at: Moment
    metadata: Mapping[str, Any] | None = None
    cancellation_details: _Cancellation | None = None
    receipt_registration: Any = None

    def __post_init__(self) -> None:
        """Keep only text metadata: all of ours is, a stranger's payment may hold anything."""
        texts = {name: value for name, value in (self.metadata or {}).items() if isinstance(value, str)}
        force_setattr(self, "metadata", texts)

    @property
    def texts(self) -> Mapping[str, str]:
        return self.metadata or {}

    @property
    def cancelled(self) -> _Cancellation:
        return self.cancellation_details or _Cancellation()


class PaymentRecord(_Record, frozen=True, kw_only=True):
    status: Literal["pending", "waiting_for_capture", "succeeded", "canceled"]
    paid: bool
    refunded_amount: Amount | None = None
    recipient: _Recipient = _Recipient()
    test: bool = False
    confirmation: _Confirmation | None = None
    captured_at: Any = None
    income_amount: Any = None
    payment_method: Any = None

    @property
    def captured_at_us(self) -> int | None:
        moment = told(self.captured_at, Moment)
        return None if moment is None else epoch_us(moment)

    @property
    def income_minor(self) -> int | None:
        """What is left for the shop; None if the provider does not say, or more than was paid."""
        income, paid = told(self.income_amount, Amount), self.amount
        right = income is not None and income.currency == paid.currency and income.minor <= paid.minor
        return income.minor if income is not None and right else None

    @property
    def method(self) -> str | None:
        method = told(self.payment_method, _Method)
        return method.type if method else None

    @property
    def refunded_minor(self) -> int:
        return self.refunded_amount.minor if self.refunded_amount else 0

    @property
    def confirmation_url(self) -> str | None:
        return self.confirmation.confirmation_url if self.confirmation else None


class RefundRecord(_Record, frozen=True, kw_only=True):
    payment_id: OutsideId
    status: Literal["pending", "succeeded", "canceled"]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page, newest first; `cursor` continues it, None at its end."""

    items: tuple[T, ...]
    cursor: str | None
    unreadable: tuple[Unreadable, ...] = ()

    def require_readable(self) -> None:
        """Raise UnknownError if a sought item may be among the unreadable ones."""
        for item in self.unreadable:
            raise UnknownError("unreadable", f"{item.id or 'an item'} of a list: {item.reason}")


class _List(msgspec.Struct):
    items: list[Any]
    next_cursor: str | None = None


def amount_text(minor: int) -> dict[str, str]:
    """39000 → {"value": "390.00", "currency": "RUB"}"""
    return {"value": f"{minor // _MINOR}.{minor % _MINOR:02d}", "currency": CURRENCY}


def read(reply: Any, kind: type[T]) -> T:
    """Parse a record. Raises UnknownError when it is none."""
    try:
        return msgspec.convert(reply, kind)
    except msgspec.ValidationError as error:
        raise UnknownError("unreadable", str(error)) from error


def read_page(reply: Any, kind: type[T]) -> Page[T]:
    """Parse a page: an item that cannot be read must not hide the others."""
    listed, items, broken = read(reply, _List), [], []
    for item in listed.items:
        try:
            items.append(read(item, kind))
        except UnknownError as error:
            broken.append(unreadable(item, error))
    return Page(tuple(items), listed.next_cursor, tuple(broken))
