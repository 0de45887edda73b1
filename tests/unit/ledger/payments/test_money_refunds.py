"""Money that goes back, in parts and as a whole, and the credits it takes: given, when, then."""

import pytest
from msgspec.structs import replace

from events.account import CreditsExpired, Part
from events.payment import PaymentFlagged, PaymentRefunded
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState
from ledger.errors import (
    AlreadyExistsError,
    InvalidCommandError,
    NotPaidError,
    PaymentNotFoundError,
    RefundNotFoundError,
    RefundTooLargeError,
    UnreadableAccountError,
)
from ledger.payments import money_refunds
from ledger.payments.state import Received
from tests.support.each import each
from tests.support.payment_samples import (
    BUYER,
    FAIL,
    FOUND,
    INTEND,
    INTENDED,
    ORDERED,
    OURS,
    SETTLE,
    Desk,
    paid,
    received,
    revoked,
)


def test_the_credits_are_taken_before_the_money_leaves():
    desk = paid()
    whole = Part(1, 5, "purchase")
    assert desk.do(INTEND) == [replace(INTENDED, parts=(whole,)), revoked(5, whole, actor="login:op")]
    assert desk.payer.balance == 0
    assert received(desk).refundable_minor == 0


def test_a_refund_takes_the_lot_that_was_bought_and_not_a_gift():
    gift = AccountState(opened=True, terms="1", balance=3, lots=(Lot(1, 3, "bonus"),), lots_made=1)
    desk = paid(payer=gift)
    _, taken = desk.do(INTEND)
    assert taken.parts == (Part(2, 5, "purchase"),)
    assert desk.payer.balance == 3


def test_what_was_spent_is_owed():
    desk = paid()
    desk.charge("j", 3)
    intended = replace(INTENDED, parts=(Part(1, 2, "purchase"),))
    assert desk.do(INTEND) == [intended, revoked(5, Part(1, 2, "purchase"), actor="login:op")]
    assert (desk.payer.balance, desk.payer.debt) == (-3, 3)


def test_the_refund_that_was_intended_moves_nothing_more():
    desk = paid()
    desk.do(INTEND)
    assert desk.do(OURS) == [PaymentRefunded("yk-1", "yr-1", 39_000, "RUB", 5, "r1", "ours")]
    assert desk.do(OURS) == []
    assert (desk.payer.balance, received(desk).refunded_minor, received(desk).revoked) == (0, 39_000, 5)


def test_a_refund_that_the_provider_told_of_first_is_the_one_that_was_intended():
    desk = paid()
    desk.do(INTEND)
    assert desk.do(FOUND) == [PaymentRefunded("yk-1", "yr-1", 39_000, "RUB", 5, "r1", "ours")]
    assert desk.do(OURS) == []
    assert desk.do(FAIL) == []  # it is over; nothing comes back


def test_a_failed_refund_that_went_back_after_all_takes_its_credits_again():
    desk = paid()
    desk.do(INTEND)
    desk.do(FAIL)
    made = desk.do(OURS)
    refunded = PaymentRefunded("yk-1", "yr-1", 39_000, "RUB", 5, kind="ours")  # it fulfils nothing
    assert made == [refunded, revoked(5, Part(1, 5, "purchase"))]
    assert desk.payer.balance == 0


def test_a_refund_made_in_the_providers_cabinet_takes_its_credits_once():
    desk = paid()
    assert desk.do(FOUND) == [
        PaymentRefunded("yk-1", "yr-1", 39_000, "RUB", 5),
        revoked(5, Part(1, 5, "purchase")),
    ]
    assert desk.do(FOUND) == []


def test_more_than_was_paid_is_recorded_and_takes_what_is_left():
    desk = paid()
    desk.do(replace(FOUND, amount_minor=13_000))
    made = desk.do(replace(FOUND, provider_refund="yr-2", amount_minor=50_000))
    taken = revoked(3, Part(1, 3, "purchase"), returned_minor=50_000)
    assert made == [PaymentRefunded("yk-1", "yr-2", 50_000, "RUB", 3), taken]
    more = desk.do(replace(FOUND, provider_refund="yr-3", amount_minor=1))
    assert more == [PaymentRefunded("yk-1", "yr-3", 1, "RUB", 0)]
    assert received(desk).refundable_minor == 0


def test_money_that_came_twice_goes_back_each_for_itself():
    desk = paid()
    desk.do(replace(SETTLE, provider_payment="yk-2"))
    made = desk.do(replace(INTEND, provider_payment="yk-2"))
    assert made[1] == revoked(5, Part(2, 5, "purchase"), actor="login:op", reference="yookassa:yk-2")
    assert received(desk).refundable_minor == 39_000


def test_flagged_money_goes_back_without_credits():
    desk = Desk(ORDERED, PaymentFlagged("yk-1", "amount", 100, "RUB"))
    intended = replace(INTENDED, amount_minor=100, credits=0)
    assert desk.do(replace(INTEND, amount_minor=100)) == [intended]
    ours = replace(OURS, amount_minor=100)
    assert desk.do(ours) == [PaymentRefunded("yk-1", "yr-1", 100, "RUB", 0, "r1", "ours")]
    assert desk.payer == BUYER


def test_asking_twice_is_asking_once():
    desk = paid()
    desk.do(INTEND)
    assert desk.do(INTEND) == []
    with pytest.raises(AlreadyExistsError):
        desk.do(replace(INTEND, amount_minor=1))
    desk.do(FAIL)
    with pytest.raises(AlreadyExistsError):
        desk.do(INTEND)


@each(
    ("change", "error"),
    [
        ({"amount_minor": 39_001}, RefundTooLargeError),
        ({"amount_minor": 0}, InvalidCommandError),
        ({"amount_minor": -5}, InvalidCommandError),
        ({"actor": ""}, InvalidCommandError),
        ({"reason": ""}, InvalidCommandError),
        ({"refund": ""}, InvalidCommandError),
        ({"provider_payment": "yk-9"}, NotPaidError),
        ({"account": "b"}, PaymentNotFoundError),
    ],
)
def test_a_refund_that_makes_no_sense_is_refused(change, error):
    with pytest.raises(error):
        paid().do(replace(INTEND, **change))


def test_no_more_than_what_is_left_is_sent_back():
    desk = paid()
    desk.do(replace(INTEND, amount_minor=30_000))
    with pytest.raises(RefundTooLargeError) as refused:
        desk.do(replace(INTEND, refund="r2", amount_minor=9_001))
    assert (refused.value.amount_minor, refused.value.left_minor) == (9_001, 9_000)


def test_what_was_not_settled_is_settled_first():
    desk = Desk(ORDERED)
    for command in (INTEND, FOUND):
        with pytest.raises(NotPaidError):
            desk.do(command)
    with pytest.raises(PaymentNotFoundError):
        Desk().do(FOUND)
    with pytest.raises(PaymentNotFoundError):
        Desk(ORDERED).do(replace(FOUND, account="b"))
    with pytest.raises(RefundNotFoundError):
        paid().do(FAIL)
    with pytest.raises(InvalidCommandError):
        paid().do(replace(FOUND, amount_minor=0))


def test_a_forgotten_account_is_refunded_like_any_other():
    desk = paid()
    desk.payer = replace(desk.payer, forgotten=True)
    desk.do(INTEND)
    assert desk.payer.balance == 0


def test_an_account_that_cannot_be_read_waits_unless_its_credits_are_reserved():
    desk = paid()
    desk.do(replace(INTEND, amount_minor=19_500))
    desk.payer = replace(desk.payer, broken="?")
    ours = replace(OURS, amount_minor=19_500)
    assert desk.do(ours) == [PaymentRefunded("yk-1", "yr-1", 19_500, "RUB", 3, "r1", "ours")]
    with pytest.raises(UnreadableAccountError):
        desk.do(replace(FOUND, provider_refund="yr-2", amount_minor=19_500))


def test_what_is_over_is_booked_before_it_could_be_taken():
    desk = paid()
    desk.payer = replace(desk.payer, balance=6, lots=(Lot(2, 1, "bonus", 9), Lot(1, 5, "purchase")))
    assert desk.do(INTEND, now_us=9)[0] == CreditsExpired(2, 1, "bonus", 9)


def test_a_success_remembers_its_lot():
    desk = paid()
    assert desk.payment.received == (Received("yk-1", 39_000, "RUB", 5, 1),)


def test_of_two_alike_the_one_that_is_named_is_fulfilled():
    desk = paid()
    half = replace(INTEND, amount_minor=19_500)
    desk.do(half)
    desk.do(replace(half, refund="r2"))
    (refunded,) = desk.do(replace(FOUND, amount_minor=19_500, refund="r2"))
    assert refunded.refund == "r2"
    assert [intent.refund for intent in desk.payment.intents] == ["r1"]
    (refunded,) = desk.do(replace(FOUND, amount_minor=19_500, provider_refund="yr-2", refund="unknown"))
    assert refunded.refund == "r1"
    with pytest.raises(InvalidCommandError, match="an id has 1 to"):
        desk.do(replace(FOUND, provider_refund=""))


def test_what_is_over_is_booked_before_credits_go_with_the_money():
    dead = AccountState(opened=True, terms="1", balance=2, lots=(Lot(1, 2, "bonus", 5),), lots_made=1)
    desk = paid(payer=dead)
    made = desk.do(FOUND, now_us=10)
    assert [type(event).__name__ for event in made] == ["CreditsExpired", "PaymentRefunded", "CreditsRevoked"]


def test_of_an_account_that_cannot_be_read_nothing_is_booked():
    lots = (Lot(1, 5, "purchase"), Lot(2, 2, "bonus", 5))
    payer = replace(BUYER, balance=7, lots=lots, lots_made=2, broken="torn")
    booked, _ = money_refunds.take("p", payer, ORDERED, Received("yk-1", 39_000, "RUB", 0, 1), 1, 10)
    assert booked == []


def test_what_was_reserved_comes_back_to_the_lots_it_was_taken_from():
    gift = AccountState(opened=True, terms="1", balance=3, lots=(Lot(1, 3, "bonus"),), lots_made=1)
    desk = paid(payer=gift)
    desk.charge("j", 3)
    desk.charge("k", 4)  # four of the five that were bought
    desk.payer = replace(desk.payer, balance=3, lots=(*desk.payer.lots, Lot(9, 2, "bonus")))
    intended, _ = desk.do(INTEND)
    assert intended.parts == (Part(2, 1, "purchase"), Part(9, 2, "bonus"))
    restored = desk.do(FAIL)[-1]
    assert sum(part.amount for part in restored.parts) + restored.settled == 5
    assert [part.lot for part in restored.parts] == [2, 9]


def test_what_comes_back_has_the_life_its_lot_has_now():
    desk = paid()
    desk.payer = replace(desk.payer, lots=(replace(desk.payer.lots[0], expires_at_us=90),))
    desk.do(replace(INTEND, amount_minor=19_500))
    assert [lot.expires_at_us for lot in desk.payer.lots] == [90]
    desk.charge("j", 2)
    restored = desk.do(FAIL, now_us=10)[-1]
    assert {part.expires_at_us for part in restored.parts} == {90}
