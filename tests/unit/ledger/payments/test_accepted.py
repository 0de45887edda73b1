"""Flagged money that an operator accepts: given, when, then."""

import pytest
from msgspec.structs import replace

from events.account import Paid
from events.payment import PaymentFlagged
from ledger.errors import InvalidCommandError, NotPaidError, PaymentNotFoundError
from ledger.payments import commands as p
from tests.support.each import each
from tests.support.payment_samples import GRANTED, INTEND, ORDERED, SETTLE, SUCCEEDED, Desk

ACCEPT = p.AcceptPayment("p", "a", "yk-1", 2, "login:op", "by phone")


def flagged() -> Desk:
    return Desk(ORDERED, PaymentFlagged("yk-1", "amount", 100, "RUB"))


def test_flagged_money_is_bought_with_by_an_operators_word():
    desk = flagged()
    paid = replace(GRANTED, amount=2, reason="by phone", paid=Paid(100, "RUB"), actor="login:op")
    assert desk.do(ACCEPT) == [replace(SUCCEEDED, amount_minor=100, credits=2), paid]
    assert desk.do(ACCEPT) == desk.do(SETTLE) == []
    assert desk.do(replace(INTEND, amount_minor=50))[0].credits == 1


@each(
    ("change", "error"),
    [
        ({"credits": 0}, InvalidCommandError),
        ({"actor": ""}, InvalidCommandError),
        ({"reason": ""}, InvalidCommandError),
        ({"provider_payment": "yk-9"}, NotPaidError),
        ({"account": "b"}, PaymentNotFoundError),
    ],
)
def test_what_cannot_be_accepted(change, error):
    with pytest.raises(error):
        flagged().do(replace(ACCEPT, **change))


def test_flagged_money_that_is_going_back_buys_nothing():
    desk = flagged()
    desk.do(replace(INTEND, amount_minor=50))
    with pytest.raises(InvalidCommandError, match="went back or is about to"):
        desk.do(ACCEPT)


def test_flagged_money_that_went_back_or_is_about_to_is_not_credited_by_a_second_look():
    reserved, refunded = flagged(), flagged()
    reserved.do(replace(INTEND, amount_minor=50))
    refunded.do(p.RecordRefund("p", "a", "yookassa", "yk-1", "yr-1", 50))
    for desk in (reserved, refunded):
        assert desk.do(SETTLE) == []
        with pytest.raises(InvalidCommandError, match="went back or is about to"):
            desk.do(ACCEPT)
