"""Refunds of parts: whatever they are and in whatever order they come, one rule says what they take."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.account import Part
from events.payment import PaymentRefunded, RefundFailed
from ledger.errors import RefundNotFoundError, RefundTooLargeError
from ledger.payments.state import Received
from tests.support.payment_samples import FAIL, FOUND, INTEND, INTENDED, OURS, paid, received, revoked


def test_a_cabinet_refund_of_another_amount_during_an_intended_one_stands_beside_it():
    desk = paid()
    desk.do(replace(INTEND, amount_minor=19_500))  # 2.5 of 5, rounded to 3
    made = desk.do(replace(FOUND, amount_minor=7_800, provider_refund="yr-0"))
    taken = revoked(1, Part(1, 1, "purchase"), returned_minor=7_800)
    assert made == [PaymentRefunded("yk-1", "yr-0", 7_800, "RUB", 1), taken]
    desk.do(replace(OURS, amount_minor=19_500))
    assert (received(desk).refunded_minor, received(desk).reserved_minor) == (27_300, 0)
    assert (received(desk).revoked, desk.payer.balance) == (4, 1)


def test_of_equal_ones_it_makes_no_difference_which_it_was():
    desk = paid()
    half = replace(INTEND, amount_minor=19_500)
    desk.do(half)
    desk.do(replace(half, refund="r2"))
    desk.do(replace(FOUND, amount_minor=19_500, provider_refund="yr-2"))  # is r2's, taken for r1's
    desk.do(replace(FOUND, amount_minor=19_500, provider_refund="yr-1", refund="r1"))
    assert desk.payment.intents == ()
    assert (received(desk).refunded_minor, received(desk).reserved_minor, desk.payer.balance) == (
        39_000,
        0,
        0,
    )


def test_parts_round_by_one_rule_and_end_at_the_whole():
    desk = paid(credits=5, amount_minor=39_000)
    taken = [
        desk.do(replace(FOUND, provider_refund=f"yr-{n}", amount_minor=13_000))[0].credits for n in range(3)
    ]
    assert taken == [2, 1, 2]  # 1.67, 3.33 and 5 in all
    assert desk.payer.balance == 0


def test_a_part_of_less_than_half_a_credit_takes_none():
    desk = paid()
    assert desk.do(replace(INTEND, amount_minor=1)) == [replace(INTENDED, amount_minor=1, credits=0)]
    assert desk.do(FAIL) == [RefundFailed("r1", "insufficient_funds", 0)]
    assert desk.do(replace(FOUND, amount_minor=1)) == [PaymentRefunded("yk-1", "yr-1", 1, "RUB", 0)]


@given(st.integers(1, 200), st.integers(1, 100_000), st.data())
def test_whatever_the_parts_the_whole_takes_exactly_the_credits(credits, amount_minor, data):
    desk = paid(credits, amount_minor)
    left, taken = amount_minor, [0]
    for n in range(50):
        if not left:
            break
        part = left if n == 49 else data.draw(st.integers(1, left))
        left -= part
        desk.do(replace(FOUND, provider_refund=f"yr-{n}", amount_minor=part))
        taken.append(received(desk).revoked)
    assert taken == sorted(taken)
    assert (taken[-1], desk.payer.balance) == (credits, 0)


@given(st.integers(1, 200), st.integers(1, 100_000), st.data())
def test_in_any_order_of_events_the_credits_taken_are_those_of_the_money(credits, amount_minor, data):
    desk = paid(credits, amount_minor)
    for n in range(data.draw(st.integers(1, 12))):
        refund = f"r{data.draw(st.integers(0, n))}"
        part = data.draw(st.integers(1, amount_minor))
        command = data.draw(
            st.sampled_from(
                [
                    replace(INTEND, refund=f"r{n}", amount_minor=part),
                    replace(FAIL, refund=refund),
                    replace(FOUND, provider_refund=f"yr-{n}", amount_minor=part),
                    *[
                        replace(
                            FOUND, provider_refund=f"yr-{n}", amount_minor=i.amount_minor, refund=i.refund
                        )
                        for i in desk.payment.intents
                    ],
                ]
            )
        )
        try:
            desk.do(command)
        except (RefundTooLargeError, RefundNotFoundError):
            continue
        money = received(desk)
        going = money.refunded_minor + money.reserved_minor
        assert money.revoked == min((2 * credits * going + amount_minor) // (2 * amount_minor), credits)
        assert desk.payer.balance == credits - money.revoked
        assert money.reserved_minor == sum(intent.amount_minor for intent in desk.payment.intents)


@given(st.integers(1, 200), st.integers(1, 10_000), st.data())
def test_so_many_credits_are_worth_an_amount_that_takes_as_many(credits, minor_each, data):
    money = Received("yk-1", credits * minor_each, "RUB", credits, 1)
    first = data.draw(st.integers(0, credits))
    amount = money.amount_of(first)
    assert money.taken_by(amount) == first
    rest = replace(money, refunded_minor=amount, revoked=first)
    assert rest.amount_of(credits - first) == rest.refundable_minor
