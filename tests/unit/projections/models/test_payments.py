"""What a payment's row says after its events."""

import pytest
from msgspec.structs import replace

from events.account import CreditsGranted
from events.payment import (
    PaymentCancelled,
    PaymentCreated,
    PaymentExpired,
    PaymentFlagged,
    PaymentRefunded,
    PaymentSucceeded,
    RefundFailed,
    RefundIntended,
)
from projections.engine.errors import UnfoldableEventError
from projections.models.payments import PAYMENTS, Payment
from tests.support.each import each
from tests.support.history import History
from tests.support.payment_samples import ORDERED, SUCCEEDED

CREATED = PaymentCreated("yk-1")
CANCELLED = PaymentCancelled("yk-1", "card_expired", "yoo_money")
EXPIRED = PaymentExpired("unpaid")
FLAGGED = PaymentFlagged("yk-1", "amount", 100, "RUB")
INTENDED = RefundIntended("r1", "yk-1", 19_500, "RUB", 3, "login:op", "asked")
REFUNDED = PaymentRefunded("yk-1", "yr-1", 19_500, "RUB", 3, "r1")
REST = PaymentRefunded("yk-1", "yr-2", 19_500, "RUB", 2)
TWICE = PaymentSucceeded("yookassa", "yk-2", 39_000, "RUB", 5, 2)


def row(*events) -> Payment:
    history = History()
    for event in (ORDERED, *events):
        history.record(("payment-p", event))
    return PAYMENTS.fold_all(history.events)["p"]


def test_a_row_says_what_was_ordered_paid_and_sent_back():
    assert row(CREATED, SUCCEEDED, INTENDED, REFUNDED) == Payment(
        payment="p",
        account="a",
        provider="yookassa",
        package="credits-5",
        credits=5,
        amount_minor=39_000,
        currency="RUB",
        test=False,
        ordered_at_us=2_000_000,
        state="refunded_partly",
        provider_payment="yk-1",
        paid_minor=39_000,
        refunded_minor=19_500,
        revoked_credits=3,
        successes=1,
        settled_at_us=4_000_000,
        received=row(CREATED, SUCCEEDED, INTENDED, REFUNDED).received,
        updated_at_us=6_000_000,
        position=5,
    )


@each(
    ("events", "state"),
    [
        ((), "ordered"),
        ((CREATED,), "pending"),
        ((CREATED, CANCELLED), "cancelled"),
        ((PaymentCancelled("", "invalid_request", "shop"),), "cancelled"),
        ((CREATED, PaymentCreated("yk-2"), CANCELLED), "pending"),  # the newer one may still be paid
        ((CREATED, CANCELLED, PaymentCreated("yk-2")), "pending"),
        ((CANCELLED,), "cancelled"),
        ((CANCELLED, CREATED), "cancelled"),  # told of the end before we had noted the beginning
        ((CREATED, EXPIRED), "expired"),
        ((EXPIRED, CREATED), "expired"),
        ((CREATED, EXPIRED, CANCELLED), "cancelled"),
        ((CREATED, SUCCEEDED), "succeeded"),
        ((SUCCEEDED, CREATED), "succeeded"),
        ((CREATED, CANCELLED, SUCCEEDED), "succeeded"),
        ((CREATED, EXPIRED, SUCCEEDED), "succeeded"),
        ((CREATED, FLAGGED), "flagged"),
        ((FLAGGED, EXPIRED, CANCELLED), "flagged"),
        ((FLAGGED, replace(FLAGGED, problem="test")), "flagged"),
        ((FLAGGED, SUCCEEDED), "succeeded"),
        ((FLAGGED, PaymentRefunded("yk-1", "yr-1", 100, "RUB", 0)), "refunded"),
        ((SUCCEEDED, replace(FLAGGED, provider_payment="yk-2")), "succeeded"),
        ((SUCCEEDED, INTENDED), "refunding"),
        ((SUCCEEDED, INTENDED, RefundFailed("r1", "no", 3)), "succeeded"),
        ((SUCCEEDED, INTENDED, REFUNDED), "refunded_partly"),
        ((SUCCEEDED, INTENDED, REFUNDED, REST), "refunded"),
        ((SUCCEEDED, INTENDED, REST), "refunding"),
        ((SUCCEEDED, TWICE, INTENDED, REFUNDED, REST), "refunded_partly"),
    ],
)
def test_where_a_payment_stands(events, state):
    assert row(*events).state == state


def test_money_that_came_twice_is_counted_twice():
    found = row(SUCCEEDED, TWICE)
    assert (found.paid_minor, found.successes, found.provider_payment) == (78_000, 2, "yk-2")


def test_flagged_money_is_counted_as_paid_and_not_as_a_success():
    found = row(FLAGGED, replace(FLAGGED, problem="test"))
    assert (found.paid_minor, found.successes, found.flag, found.settled_at_us) == (100, 0, "test", None)


def test_credits_of_a_refund_that_failed_are_not_revoked():
    assert row(SUCCEEDED, INTENDED).revoked_credits == 3
    assert row(SUCCEEDED, INTENDED, RefundFailed("r1", "no", 3)).revoked_credits == 0


def test_what_cannot_stand_in_a_payment_cannot_be_folded():
    history = History()
    history.record(("payment-p", CREATED))
    with pytest.raises(UnfoldableEventError, match="comes before PaymentOrdered"):
        PAYMENTS.fold_all(history.events)
    history = History()
    history.record(("payment-p", CreditsGranted(1, "bonus", "x", 1)))
    with pytest.raises(UnfoldableEventError, match="is no payment's event"):
        PAYMENTS.fold_all(history.events)


def test_other_streams_are_none_of_its_business():
    history = History()
    history.record(("account-a", CreditsGranted(1, "bonus", "x", 1)))
    assert PAYMENTS.fold_all(history.events) == {}
