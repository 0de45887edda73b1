"""Credit packages as data (packages.toml or PAYMENT_PACKAGES_FILE), and price texts."""

import re
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Final

import msgspec
from babel.numbers import format_decimal

from events.payment import BuyerKind, Provider
from services.platform.errors import SettingsError
from services.platform.settings import Settings

PACKAGES_MAX: Final = 20
CREDITS_MAX: Final = 100_000
LINE_CHARS_MAX: Final = 128
STARS_MAX: Final = 10_000
KOPECKS_MAX: Final = 1_000_000_00
_ID: Final = re.compile(r"[a-z0-9-]{1,24}")
_DAY_S: Final = 86_400
STARS: Final = "XTR"
_SIGNS: Final = {"RUB": "₽"}


class Price(msgspec.Struct, frozen=True):
    """A price in the currency's smallest unit: 39000 kopecks of RUB, or 300 XTR (Telegram Stars)."""

    amount_minor: int
    currency: str

    def per_video(self, credits: int, video_credits: int) -> "Price":
        """Price of a video, rounded up to whole rubles or Stars."""
        unit = 1 if self.currency == STARS else 100
        return Price(-(-self.amount_minor * video_credits // (credits * unit)) * unit, self.currency)


class Package(msgspec.Struct, frozen=True):
    """`credits` for a price per provider, living for `life_s` seconds; None: for ever.

    `buyer` and `country` are those it is sold to, None: not said.
    """

    id: str
    credits: int
    prices: dict[Provider, Price]
    life_s: int | None
    line: str
    buyer: BuyerKind | None = None
    country: str | None = None

    def price(self, provider: Provider) -> Price | None:
        """The price; None: not sold that way."""
        return self.prices.get(provider)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    credits: int
    receipt: str
    rubles: int | float | None = None
    stars: int | None = None
    life_days: int | None = None
    buyer: BuyerKind | None = None
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    package: list[_Entry]


def load_packages(settings: Settings) -> tuple[Package, ...]:
    """All packages in file order. Raises SettingsError that says what is wrong."""
    path = settings.payment_packages_file
    try:
        data = path.read_bytes() if path is not None else (files(__package__) / "packages.toml").read_bytes()
        packages = parse_packages(data)
    except OSError as error:
        raise SettingsError([f"PAYMENT_PACKAGES_FILE: cannot be read: {error.strerror or error}"]) from None
    except ValueError as error:  # msgspec's own among them
        raise SettingsError([f"PAYMENT_PACKAGES_FILE: {error}"]) from None
    return packages


def parse_packages(data: bytes) -> tuple[Package, ...]:
    """Parse packages. Raises ValueError with what is wrong."""
    entries = msgspec.toml.decode(data, type=_File).package
    if not 0 < len(entries) <= PACKAGES_MAX:
        raise ValueError(f"1 to {PACKAGES_MAX} packages are needed, not {len(entries)}")
    packages = tuple(_package(entry) for entry in entries)
    ids = [package.id for package in packages]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ValueError(f"package {twice[0]!r} is there twice")
    return packages


def _package(entry: _Entry) -> Package:
    name = f"package {entry.id!r}"
    if not _ID.fullmatch(entry.id):
        raise ValueError(f"{name}: an id is 1 to 24 of a-z, 0-9 and -")
    _require(name, "credits", entry.credits, CREDITS_MAX)
    if not 0 < len(entry.receipt.strip()) <= LINE_CHARS_MAX or not entry.receipt.isprintable():
        raise ValueError(f"{name}: receipt has 1 to {LINE_CHARS_MAX} printable characters")
    prices: dict[Provider, Price] = {}
    if entry.rubles is not None:
        kopecks = Decimal(str(entry.rubles)) * 100
        if not kopecks.is_finite() or kopecks != int(kopecks):
            raise ValueError(f"{name}: rubles has at most two decimals")
        _require(name, "rubles in kopecks", int(kopecks), KOPECKS_MAX)
        prices["yookassa"] = Price(int(kopecks), "RUB")
    if entry.stars is not None:
        _require(name, "stars", entry.stars, STARS_MAX)
        prices["stars"] = Price(entry.stars, STARS)
    if not prices:
        raise ValueError(f"{name}: give a price, rubles or stars")
    life_s = None
    if entry.life_days is not None:
        _require(name, "life_days", entry.life_days, 36_500)
        life_s = entry.life_days * _DAY_S
    line = entry.receipt.strip()
    return Package(entry.id, entry.credits, prices, life_s, line, entry.buyer, entry.country)


def _require(name: str, what: str, value: int, most: int) -> None:
    if not 0 < value <= most:
        raise ValueError(f"{name}: {what} is 1 to {most}, not {value}")


def money_text(amount_minor: int, currency: str, locale: str) -> str:
    """`1,790 ₽` or `300 ⭐`; kopecks only where there are some."""
    if currency == STARS:
        return f"{format_decimal(amount_minor, locale=locale)}\u00a0⭐"
    amount = Decimal(amount_minor) / 100
    pattern = "#,##0" if amount == int(amount) else "#,##0.00"
    return f"{format_decimal(amount, pattern, locale=locale)}\u00a0{_SIGNS.get(currency, currency)}"
