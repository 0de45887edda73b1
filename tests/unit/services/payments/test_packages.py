"""Packages: the ones we ship, and files that are wrong."""

from pathlib import Path

import pytest

from services.payments.packages import Price, load_packages, parse_packages
from services.platform.errors import SettingsError
from services.platform.settings import load_settings
from tests.support.each import each

ONE = '[[package]]\nid = "a"\ncredits = 5\nrubles = 390\nreceipt = "Five"\n'


def test_what_is_sold_when_nothing_is_configured() -> None:
    packages = load_packages(load_settings())
    assert [(p.credits, p.prices["yookassa"].amount_minor) for p in packages] == [
        (5, 39_000),
        (10, 69_000),
        (30, 179_000),
        (100, 499_000),
    ]
    assert all(p.prices["stars"].currency == "XTR" and p.life_s == 365 * 86_400 for p in packages)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "packages.toml"
    path.write_text(ONE.replace("390", "390.5"), encoding="utf-8")
    (package,) = load_packages(load_settings(payment_packages_file=path))
    assert package.price("yookassa") == Price(39_050, "RUB")
    assert (package.price("stars"), package.life_s) == (None, None)
    assert (package.buyer, package.country) == (None, None), "not said is unknown"
    path.write_text(ONE + 'buyer = "company"\ncountry = "RU"\n', encoding="utf-8")
    (package,) = load_packages(load_settings(payment_packages_file=path))
    assert (package.buyer, package.country) == ("company", "RU")


@each(
    ("text", "says"),
    [
        ("", "package"),
        ("package = []", "1 to 20"),
        (ONE + ONE, "twice"),
        (ONE.replace('"a"', '"A b"'), "id"),
        (ONE.replace("5\n", "0\n"), "credits"),
        (ONE.replace("rubles = 390\n", ""), "price"),
        (ONE.replace("390", "1.005"), "two decimals"),
        (ONE.replace("390", "nan"), "two decimals"),
        (ONE.replace("390", "-1"), "kopecks"),
        (ONE.replace("Five", "x" * 129), "receipt"),
        (ONE + "starz = 3\n", "starz"),
        (ONE + "stars = 0\n", "stars"),
        (ONE + "life_days = 0\n", "life_days"),
        (ONE + 'buyer = "robot"\n', "buyer"),
        (ONE + 'country = "Russia"\n', "country"),
        ("[[package", "Expected"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_packages(text.encode())
    path = tmp_path / "packages.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="PAYMENT_PACKAGES_FILE"):
        load_packages(load_settings(payment_packages_file=path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PAYMENT_PACKAGES_FILE: cannot be read"):
        load_packages(load_settings(payment_packages_file=tmp_path / "none.toml"))


def test_what_a_video_costs_is_rounded_up_to_whole_rubles_and_stars() -> None:
    assert Price(179_000, "RUB").per_video(30, 1) == Price(6_000, "RUB")
    assert Price(179_000, "RUB").per_video(30, 2) == Price(12_000, "RUB")
    assert Price(1_380, "XTR").per_video(31, 1) == Price(45, "XTR")
