"""Which lots a refund takes from: not what is gone already; and that what failed is restored to them."""

from msgspec.structs import replace

from events.account import CreditsExpired, CreditsRestored, Paid, Part
from events.payment import PaymentRefunded, RefundFailed
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState
from tests.support.payment_samples import (
    FAIL,
    FOUND,
    INTEND,
    INTENDED,
    ORDERED,
    SETTLE,
    Desk,
    paid,
    received,
    revoked,
)


def test_what_expired_is_not_taken_again_from_what_was_bought_later():
    desk = Desk(replace(ORDERED, life_s=60))
    desk.do(SETTLE)
    desk.do(replace(SETTLE, provider_payment="yk-2"), now_us=59_000_000)
    made = desk.do(FOUND, now_us=60_000_000)
    assert made == [
        CreditsExpired(1, 5, "purchase", 60_000_000),
        PaymentRefunded("yk-1", "yr-1", 39_000, "RUB", 0),
    ]
    assert (desk.payer.balance, desk.payer.debt) == (5, 0)


def test_of_a_lot_that_expired_what_was_spent_is_owed_and_no_more():
    desk = Desk(replace(ORDERED, life_s=60))
    desk.do(SETTLE)
    desk.charge("j", 2)
    made = desk.do(INTEND, now_us=60_000_000)
    assert made == [
        CreditsExpired(1, 3, "purchase", 60_000_000),
        replace(INTENDED, credits=2),
        revoked(2, actor="login:op"),
    ]
    assert (desk.payer.balance, desk.payer.debt) == (-2, 2)


def test_what_an_operator_took_is_not_taken_again():
    desk = paid()
    desk.revoke(4)
    assert desk.do(replace(FOUND, amount_minor=19_500))[0].credits == 1
    assert desk.do(replace(FOUND, amount_minor=19_500, provider_refund="yr-2"))[0].credits == 0
    assert (desk.payer.balance, desk.payer.debt) == (0, 0)


def test_what_another_refund_took_of_a_lot_was_spent_and_is_taken_again():
    desk = paid()
    desk.do(replace(SETTLE, provider_payment="yk-2"))
    desk.charge("j", 5)
    desk.do(FOUND)  # lot 1 is spent, so lot 2 stands for it
    assert desk.payer.balance == 0
    desk.do(replace(FOUND, provider_payment="yk-2", provider_refund="yr-2"))
    assert desk.payer.balance == -5


def test_a_refund_that_failed_restores_the_lot_and_settles_what_is_owed():
    desk = paid()
    desk.charge("j", 3)
    before = desk.payer
    desk.do(INTEND)
    back = CreditsRestored(5, "r1", (Part(1, 2, "purchase"),), 3, Paid(39_000, "RUB"), "p")
    assert desk.do(FAIL) == [RefundFailed("r1", "insufficient_funds", 5), back]
    assert desk.do(FAIL) == []
    assert desk.payer == before
    assert (received(desk).refundable_minor, received(desk).revoked) == (39_000, 0)


def test_credits_come_back_to_the_lots_they_were_taken_from_each_with_its_life():
    gift = AccountState(
        opened=True, terms="1", balance=4, lots=(Lot(1, 4, "promo", 90_000_000),), lots_made=1
    )
    desk = Desk(replace(ORDERED, life_s=60), payer=gift)
    desk.do(SETTLE)
    desk.charge("j", 6)  # the gift and 2 of what was bought
    desk.payer = replace(desk.payer, lots=(Lot(1, 1, "promo", 90_000_000), *desk.payer.lots), balance=4)
    before = desk.payer
    desk.do(INTEND)
    assert desk.payer.balance == -1
    desk.do(FAIL, now_us=50)
    assert desk.payer == before


def test_a_life_that_ended_while_the_refund_was_under_way_is_prolonged():
    desk = Desk(replace(ORDERED, life_s=60))
    desk.do(SETTLE)
    desk.do(INTEND)
    _, back = desk.do(replace(FAIL, refund_life_s=30), now_us=60_000_000)
    assert back.parts == (Part(1, 5, "purchase", 90_000_000),)


def test_what_was_owed_and_is_paid_since_comes_back_as_bought():
    desk = Desk(replace(ORDERED, life_s=60))
    desk.do(SETTLE)
    desk.charge("j", 3)
    desk.do(INTEND)
    desk.do(replace(SETTLE, provider_payment="yk-2"))  # 3 of its 5 settle the debt
    _, back = desk.do(FAIL, now_us=50)
    assert (back.parts, back.settled) == ((Part(1, 5, "purchase", 60_000_000),), 0)
    assert desk.payer.balance == 7
    desk = Desk(replace(ORDERED, life_s=60))
    desk.do(SETTLE)
    desk.charge("j", 5)
    desk.do(INTEND)
    desk.do(replace(SETTLE, provider_payment="yk-2"))
    _, back = desk.do(FAIL, now_us=50)  # nobody knows the life any more: it begins anew
    assert back.parts == (Part(1, 5, "purchase", 60_000_050),)


def test_what_was_taken_from_another_lot_goes_back_there_and_what_was_owed_is_no_more():
    desk = paid()
    desk.charge("j", 5)
    desk.do(replace(SETTLE, provider_payment="yk-2"))
    desk.charge("k", 3)
    before = desk.payer
    desk.do(INTEND)
    assert (desk.payer.lots, desk.payer.debt) == ((), 3)
    back = CreditsRestored(5, "r1", (Part(2, 2, "purchase"),), 3, Paid(39_000, "RUB"), "p")
    assert desk.do(FAIL)[1] == back
    assert desk.payer == before
