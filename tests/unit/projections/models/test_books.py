"""Double entry: what each credit event moves, and that nothing is made or lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.account import (
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    TermsAccepted,
)
from events.codec import Event
from projections.engine.errors import UnfoldableEventError
from projections.models.balances import BALANCES
from tests.support.books import Books, Transfer, imbalances, transfer_of
from tests.support.each import each
from tests.support.history import History

_amounts = st.integers(1, 1_000_000)
_credit_events = st.one_of(
    st.builds(CreditsGranted, _amounts, st.sampled_from(["bonus", "purchase"]), st.just("r"), st.just(1)),
    st.builds(CreditsCharged, st.just("j"), st.just("o"), _amounts, st.just(())),
    st.builds(CreditsRefunded, st.just("j"), _amounts, st.just("timeout"), st.just(())),
    st.builds(CreditsRevoked, _amounts, st.sampled_from(["chargeback", "mistake"])),
)


@each(
    ("event", "transfer"),
    [
        (CreditsGranted(3, "purchase", "p", 1), Transfer("issued:purchase", "user:a", 3)),
        (CreditsCharged("j", "o", 2, ()), Transfer("user:a", "spent:generation", 2)),
        (CreditsRefunded("j", 2, "timeout", ()), Transfer("spent:generation", "user:a", 2)),
        (CreditsRevoked(1, "chargeback", kind="payment"), Transfer("user:a", "revoked:payment", 1)),
        (CreditsExpired(1, 3, "bonus", 9), Transfer("user:a", "expired:bonus", 3)),
        (TermsAccepted("1"), None),
    ],
)
def test_each_credit_event_is_one_transfer(event: Event, transfer: Transfer | None):
    (recorded,) = History().record(("account-a", event))
    assert transfer_of(recorded, event) == transfer


def test_a_credit_event_outside_an_account_is_refused():
    event = CreditsGranted(1, "bonus", "x", 1)
    (recorded,) = History().record(("job-j", event))
    with pytest.raises(UnfoldableEventError):
        transfer_of(recorded, event)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), _credit_events), max_size=30))
def test_the_books_sum_to_zero_at_every_position_and_agree_with_the_balances(moves):
    history, books = History(), Books()
    for account, event in moves:
        (recorded,) = history.record((f"account-{account}", event))
        books.record(recorded)
        assert books.total() == 0
    for account, row in BALANCES.fold_all(history.events).items():
        assert books[f"user:{account}"] == row.balance


@each(
    ("books", "word"),
    [
        ({"issued:bonus": -3, "user:a": 4}, "sum to 1"),
        ({"spent:generation": -1, "user:a": 1}, "more were refunded"),
        ({"issued:bonus": 1, "user:a": -1}, "can only give"),
        ({"revoked:x": -1, "user:a": 1}, "can only take"),
    ],
)
def test_books_that_do_not_balance_are_told(books: dict[str, int], word: str):
    assert word in " ".join(imbalances(books))


def test_balanced_books_are_silent():
    assert imbalances({"issued:bonus": -5, "user:a": 2, "spent:generation": 2, "revoked:x": 1}) == []
