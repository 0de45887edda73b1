"""Settings of money: what is sold, receipts, patience with YooKassa, and who may notify us."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from services.platform.settings_fields import SettingsFields

YOOKASSA_SOURCES: Final = (
    "185.71.76.0/27", "185.71.77.0/27", "77.75.153.0/25", "77.75.156.11", "77.75.156.35", "77.75.154.128/25",
    "2a02:5180::/32",
)  # fmt: skip
"""From where YooKassa says its notifications come."""

PAYMENT_GIVE_UP_S: Final = 7 * 86_400.0
"""So long a payment is asked about. Money that comes later is found by the comparison, and credited."""

Subject = Literal["service", "commodity", "job", "payment", "intellectual_activity", "another"]
Mode = Literal["full_prepayment", "full_payment", "advance"]


class PaymentFields(SettingsFields):
    """Everything about payments that is not a key or an address."""

    payment_packages_file: Path | None = Field(
        None, description="What is sold, as services/payments/packages.toml; empty: that file"
    )
    payment_return_url: str | None = Field(
        None,
        pattern=r"^https?://\S{1,500}$",
        description="Where a payer's browser goes afterwards, best https://t.me/<the bot>; empty: "
        "https://t.me, or the sandbox's chat",
    )
    yookassa_receipts: bool = Field(
        False,
        description="true: the shop sends receipts (54-FZ) through YooKassa, and buyers are asked where to",
    )
    yookassa_vat_code: int = Field(1, ge=1, le=12, description="VAT in receipts, YooKassa's code; 1: without")
    yookassa_tax_system: int | None = Field(
        None,
        ge=1,
        le=6,
        description="Tax system in receipts, YooKassa's code; empty: as in the cash register",
    )
    yookassa_payment_subject: Subject = Field("service", description="What a receipt says was sold")
    yookassa_payment_mode: Mode = Field("full_payment", description="How a receipt says it was paid")
    yookassa_connect_seconds: float = Field(
        5, gt=0, le=60, description="How long a connection to YooKassa may take"
    )
    yookassa_read_seconds: float = Field(
        35, gt=0, le=300, description="How long YooKassa may take to answer; its own limit is 30"
    )
    yookassa_threads: int = Field(
        16, ge=2, le=256, description="Calls of YooKassa at the same time in one process"
    )
    yookassa_sources: Annotated[tuple[str, ...], NoDecode] = Field(
        YOOKASSA_SOURCES,
        description="Networks that notifications of YooKassa may come from; empty: those it publishes",
    )
    web_proxies: int | None = Field(
        None,
        ge=0,
        le=10,
        description="Reverse proxies of ours before the web process, each adding to X-Forwarded-For; "
        "empty: 0, or 1 with YooKassa's sandbox",
    )
    payments_compare_seconds: float = Field(
        86_400, ge=0, description="How often the provider's book is compared with the ledger; 0: never"
    )
    payments_compare_days: int = Field(
        14,
        ge=1,
        le=366,
        description="How many days back payments and refunds are compared: more than the 7 that a payment "
        "is asked about, and the time between two comparisons",
    )

    referral_after: Literal["purchase", "video"] = Field(
        "purchase", description="purchase, video: what of an invited friend brings both sides their bonus"
    )
    referral_credits: int = Field(2, ge=0, le=1000, description="Bonus for who invited; 0: none")
    referred_credits: int = Field(2, ge=0, le=1000, description="Bonus for the invited friend; 0: none")

    @model_validator(mode="after")
    def _compares_what_was_given_up(self) -> Self:
        seen_s = self.payments_compare_days * 86_400.0
        if seen_s <= PAYMENT_GIVE_UP_S + self.payments_compare_seconds:
            raise ValueError(
                f"PAYMENTS_COMPARE_DAYS: {self.payments_compare_days} must be more than the "
                f"{PAYMENT_GIVE_UP_S / 86_400:g} days that a payment is asked about and "
                "PAYMENTS_COMPARE_SECONDS together, or nobody would find money that came at the very end"
            )
        return self

    @field_validator("yookassa_sources", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        items = value.split(",") if isinstance(value, str) else value
        if isinstance(items, list | tuple):
            items = [str(item).strip() for item in items if str(item).strip()]
            for item in items:
                ipaddress.ip_network(item)  # its ValueError says which
        return items
