"""Which credits are spent first, where refunds go back to, what ends when."""

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from events.account import (
    AccountOpened,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    Part,
    TermsAccepted,
)
from ledger import commands as c
from ledger.accounts import decider as account
from ledger.accounts.decider import Charge
from ledger.accounts.lots import Lot, draw, draw_order, given, taken, total
from ledger.accounts.state import AccountState, evolve
from ledger.errors import InsufficientCreditsError, InvalidCommandError

DAY_US = 24 * 3600 * 1_000_000


def after(*events):
    state = AccountState()
    for event in (AccountOpened(), TermsAccepted("1"), *events):
        state = evolve(state, event)
    return state


def events_of(made):
    return [event for _, event in made]


def order(*jobs, price=1):
    return c.OrderVideos("a", "o", jobs, price, "m", "ugc", "p", "b", "ru", 900)


PURCHASE = CreditsGranted(5, "purchase", "pack", lot=1)
LATE_BONUS = CreditsGranted(5, "bonus", "x", expires_at_us=9 * DAY_US, lot=2)
EARLY_BONUS = CreditsGranted(5, "promo", "y", expires_at_us=3 * DAY_US, lot=3)
LASTING_BONUS = CreditsGranted(5, "referral", "z", lot=4)
RICH = after(PURCHASE, LATE_BONUS, EARLY_BONUS, LASTING_BONUS)


def test_gifts_are_spent_before_what_was_paid_for_and_the_earliest_to_end_first():
    assert [lot.number for lot in RICH.lots] == [3, 2, 4, 1]
    parts, rest = draw(RICH.lots, 12)
    assert [(part.lot, part.amount) for part in parts] == [(3, 5), (2, 5), (4, 2)]
    assert [(lot.number, lot.amount) for lot in rest] == [(4, 3), (1, 5)]


def test_of_two_alike_the_older_is_spent_first():
    state = after(CreditsGranted(1, "bonus", "x", lot=1), CreditsGranted(1, "bonus", "x", lot=2))
    assert draw(state.lots, 1)[0] == (Part(1, 1, "bonus"),)


def test_each_job_of_an_order_says_which_lots_paid_for_it():
    made = events_of(account.order_videos(RICH, order("j1", "j2", price=4), now_us=0))
    assert made[0].parts == (Part(3, 4, "promo", 3 * DAY_US),)
    assert made[2].parts == (Part(3, 1, "promo", 3 * DAY_US), Part(2, 3, "bonus", 9 * DAY_US))
    assert made[1].parts == made[0].parts
    assert made[3].parts == made[2].parts


def test_what_has_ended_cannot_be_spent_and_is_booked_with_the_next_command():
    made = events_of(account.order_videos(RICH, order("j"), now_us=3 * DAY_US))
    assert made[0] == CreditsExpired(3, 5, "promo", 3 * DAY_US)
    assert made[1].parts == (Part(2, 1, "bonus", 9 * DAY_US),)
    with pytest.raises(InsufficientCreditsError) as refused:
        account.order_videos(RICH, order("j", price=16), now_us=3 * DAY_US)
    assert refused.value.balance == 15
    assert RICH.available(3 * DAY_US) == 15
    assert RICH.available(3 * DAY_US - 1) == 20


def test_expiry_is_booked_once_and_says_when_it_was_due():
    made = events_of(account.expire_credits(RICH, c.ExpireCredits("a"), now_us=20 * DAY_US))
    assert made == [CreditsExpired(3, 5, "promo", 3 * DAY_US), CreditsExpired(2, 5, "bonus", 9 * DAY_US)]
    state = RICH
    for event in made:
        state = evolve(state, event)
    assert account.expire_credits(state, c.ExpireCredits("a"), now_us=20 * DAY_US) == []
    assert state.balance == 10


def test_a_refund_goes_back_to_the_lots_it_came_from():
    charged = events_of(account.order_videos(RICH, order("j", price=7), now_us=0))[0]
    state = evolve(RICH, charged)
    assert [lot.number for lot in state.lots] == [2, 4, 1]
    charge = Charge("a", "j", 7, charged.parts)
    (refunded,) = events_of(account.refund(state, charge, "timeout", DAY_US, life_s=60))
    assert refunded.parts == charged.parts
    assert evolve(state, refunded) == RICH


def test_a_refund_to_a_lot_that_has_ended_gets_a_short_new_life():
    charged = events_of(account.order_videos(RICH, order("j", price=2), now_us=0))[0]
    state, now_us = evolve(RICH, charged), 5 * DAY_US
    made = events_of(account.refund(state, Charge("a", "j", 2, charged.parts), "timeout", now_us, life_s=60))
    assert made[0] == CreditsExpired(3, 3, "promo", 3 * DAY_US)
    assert made[1].parts == (Part(3, 2, "promo", now_us + 60_000_000),)
    for event in made:
        state = evolve(state, event)
    assert state.lots[0] == Lot(3, 2, "promo", now_us + 60_000_000)


def test_a_second_refund_never_shortens_the_new_life_of_a_lot():
    state = after(CreditsGranted(1, "bonus", "x", lot=1, expires_at_us=50))
    state = evolve(state, CreditsRefunded("j", 1, "timeout", (Part(1, 1, "bonus", 900),)))
    charge = Charge("a", "k", 1, (Part(1, 1, "bonus", 300),))
    (refunded,) = events_of(account.refund(state, charge, "timeout", 40, life_s=0))
    assert refunded.parts == (Part(1, 1, "bonus", 900),)


def test_a_revocation_draws_the_named_lot_first_and_owes_what_is_missing():
    state = after(PURCHASE, CreditsGranted(2, "bonus", "x", lot=2))
    (revoked,) = events_of(account.revoke(state, c.RevokeCredits("a", 6, "money back", lot=1), now_us=0))
    assert revoked.parts == (Part(1, 5, "purchase"), Part(2, 1, "bonus"))
    (deep,) = events_of(account.revoke(state, c.RevokeCredits("a", 9, "money back", lot=1), now_us=0))
    owing = evolve(state, deep)
    assert (owing.balance, owing.debt, owing.lots) == (-2, 2, ())


def test_what_comes_in_settles_a_debt_first():
    owing = evolve(after(), CreditsRevoked(4, "money back"))
    (granted,) = events_of(account.grant(owing, c.GrantCredits("a", 6, "purchase", "pack"), now_us=0))
    assert (granted.lot, granted.settled) == (1, 4)
    assert evolve(owing, granted).lots == (Lot(1, 2, "purchase"),)
    charge = Charge("a", "j", 3, (Part(1, 1, "bonus"), Part(2, 2, "purchase")))
    (refunded,) = events_of(account.refund(evolve(after(), CreditsRevoked(2, "x")), charge, "t", 0, 0))
    assert (refunded.settled, refunded.parts) == (2, (Part(2, 1, "purchase"),))


def test_a_debt_keeps_its_user_from_ordering_until_it_is_covered():
    owing = evolve(after(), CreditsRevoked(4, "money back"))
    with pytest.raises(InsufficientCreditsError) as refused:
        account.order_videos(owing, order("j"), now_us=0)
    assert refused.value.balance == -4


def test_a_refund_arrives_even_when_the_account_cannot_be_read():
    state = AccountState(broken="?", lots=(Lot(1, 1, "bonus", 5),), balance=1)
    made = events_of(account.refund(state, Charge("a", "j", 1, (Part(2, 1, "bonus"),)), "t", 9, 0))
    assert made == [CreditsRefunded("j", 1, "t", (Part(2, 1, "bonus"),))]


def test_a_grant_may_not_be_over_before_it_begins():
    with pytest.raises(InvalidCommandError):
        account.grant(after(), c.GrantCredits("a", 1, "bonus", "x", expires_at_us=7), now_us=7)


_lots = st.lists(
    st.builds(
        Lot,
        st.integers(1, 8),
        st.integers(1, 9),
        st.sampled_from(["bonus", "purchase", "promo"]),
        st.none() | st.integers(1, 99),
    ),
    max_size=6,
    unique_by=lambda lot: lot.number,
).map(lambda lots: tuple(sorted(lots, key=draw_order)))


@hypothesis_given(_lots, st.integers(0, 60))
def test_drawing_and_giving_back_changes_nothing(lots, amount):
    parts, rest = draw(lots, amount)
    assert sum(part.amount for part in parts) == min(amount, total(lots))
    assert all(part.amount > 0 for part in parts)
    assert taken(lots, parts) == rest
    assert given(rest, parts) == lots


def test_a_part_of_a_lot_that_is_gone_takes_nothing():
    parts = (Part(9, 5, "bonus"), Part(1, 2, "purchase"))
    assert taken(after(PURCHASE).lots, parts) == (Lot(1, 3, "purchase"),)
