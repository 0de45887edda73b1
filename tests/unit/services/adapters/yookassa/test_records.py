"""Money from and to text, and records of things that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.adapters.yookassa.errors import UnknownError
from services.adapters.yookassa.records import PaymentRecord, amount_text, read, read_page
from tests.support.each import each

PAYMENT = {
    "id": "x",
    "status": "succeeded",
    "paid": True,
    "amount": {"value": "390.00", "currency": "RUB"},
    "created_at": "2026-11-22T14:30:45.129Z",
}


def payment(reply: object) -> PaymentRecord:
    return read(reply, PaymentRecord)


def test_what_is_not_told_has_a_value_that_matches_no_order() -> None:
    told = payment(PAYMENT)
    assert (told.recipient.account_id, told.test, told.texts, told.refunded_minor) == ("", False, {}, 0)


def test_facts_beside_the_money_are_read_and_what_is_odd_is_unknown() -> None:
    told = payment(
        PAYMENT
        | {
            "captured_at": "2026-11-22T17:32:10.001+03:00",
            "income_amount": {"value": "376.35", "currency": "RUB"},
            "payment_method": {"type": "sbp", "title": "Ivan"},
        }
    )
    assert (told.captured_at_us, told.income_minor, told.method) == (1_795_357_930_001_000, 37_635, "sbp")
    usd = {"value": "376.35", "currency": "USD"}
    for odd in ({}, {"captured_at": 5, "income_amount": usd, "payment_method": {"type": "a@b"}}):
        told = payment(PAYMENT | odd)
        assert (told.captured_at_us, told.income_minor, told.method) == (None, None, None)


@given(st.integers(0, 10**12))
def test_every_amount_comes_back_as_it_went(minor: int) -> None:
    assert payment(PAYMENT | {"amount": amount_text(minor)}).amount.minor == minor


@each("value", ["", "NaN", "Infinity", "1.005", "-1.00", "1e30", "390,00"])
def test_an_amount_that_is_none_is_not_guessed(value: str) -> None:
    with pytest.raises(UnknownError):
        payment(PAYMENT | {"amount": {"value": value, "currency": "RUB"}})


@each(
    "change",
    [
        {"status": "new"},
        {"paid": "yes"},
        {"amount": None},
        {"created_at": "soon"},
        {"metadata": [1]},
        {"id": ""},
        {"id": "a\nb"},
        {"id": "a\x00"},
        {"id": "ид"},
        {"id": "x" * 129},
        {"id": "x\n"},
    ],
)
def test_a_payment_that_is_none(change: dict[str, object]) -> None:
    with pytest.raises(UnknownError):
        payment(PAYMENT | change)


def test_a_strangers_metadata_hide_nothing_that_is_ours() -> None:
    odd = {"order": 5, "lines": [1, 2], "nested": {"a": None}}
    assert payment(PAYMENT | {"metadata": odd | {"order_id": "1"}}).texts == {"order_id": "1"}


def test_one_item_that_cannot_be_read_hides_no_other() -> None:
    items = [PAYMENT | {"id": "bad", "amount": 1}, PAYMENT, "none", {"id": "a\n"}]
    page = read_page({"type": "list", "items": items}, PaymentRecord)
    assert [item.id for item in page.items] == ["x"]
    assert [item.id for item in page.unreadable] == ["bad", "", ""]
    with pytest.raises(UnknownError, match="bad"):
        page.require_readable()
    read_page({"type": "list", "items": [PAYMENT]}, PaymentRecord).require_readable()
