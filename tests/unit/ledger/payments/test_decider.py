"""A payment from the order to the money: given, when, then."""

import pytest
from msgspec.structs import replace

from events.account import CreditsExpired, CreditsGranted
from events.payment import (
    PaymentCancelled,
    PaymentCreated,
    PaymentExpired,
    PaymentFlagged,
    PaymentRefunded,
    PaymentSucceeded,
)
from ledger.accounts.decider import AMOUNT_MAX
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState
from ledger.decider import fold
from ledger.errors import (
    AccountErasedError,
    AccountNotOpenError,
    AlreadyExistsError,
    InvalidCommandError,
    PaymentNotFoundError,
    TermsNotAcceptedError,
    UnreadableAccountError,
    UnreadablePaymentError,
)
from ledger.payments import commands as p
from ledger.payments.state import PaymentState
from tests.support.each import each
from tests.support.payment_samples import (
    BUYER,
    FACTS,
    FOUND,
    GRANTED,
    ORDER,
    ORDERED,
    SETTLE,
    SUCCEEDED,
    Desk,
    paid,
)

CANCEL = p.CancelPayment("p", "yk-1", "expired_on_confirmation", "yoo_money")


def test_an_order_keeps_the_price_it_was_made_with():
    assert Desk().do(ORDER) == [ORDERED]


def test_the_same_order_again_is_none_and_another_is_refused():
    desk = Desk(ORDERED)
    assert desk.do(ORDER) == []
    with pytest.raises(AlreadyExistsError):
        desk.do(replace(ORDER, amount_minor=1))


@each(
    ("buyer", "error"),
    [
        (AccountState(), AccountNotOpenError),
        (AccountState(opened=True), TermsNotAcceptedError),
        (replace(BUYER, forgotten=True), AccountErasedError),
        (replace(BUYER, broken="?"), UnreadableAccountError),
    ],
)
def test_who_may_not_order_orders_nothing(buyer, error):
    with pytest.raises(error):
        Desk(payer=buyer).do(ORDER)


@each(
    "change",
    [
        {"credits": 0},
        {"credits": 1_000_001},
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"currency": ""},
        {"package": ""},
        {"life_s": 0},
    ],
)
def test_an_order_of_nonsense_is_refused(change):
    with pytest.raises(InvalidCommandError):
        Desk().do(replace(ORDER, **change))


def test_the_providers_id_is_recorded_once():
    desk = Desk(ORDERED)
    command = p.RecordPaymentCreated("p", "yk-1")
    assert desk.do(command) == [PaymentCreated("yk-1")]
    assert desk.do(command) == []
    assert desk.do(replace(command, provider_payment="yk-2")) == [PaymentCreated("yk-2")]
    with pytest.raises(InvalidCommandError):
        desk.do(replace(command, provider_payment=""))


def test_money_that_was_ordered_is_credited_with_what_was_paid():
    desk = Desk(ORDERED, PaymentCreated("yk-1"))
    assert desk.do(SETTLE) == [SUCCEEDED, GRANTED]
    assert desk.payer.balance == 5


def test_settling_before_the_create_call_has_returned_is_settling():
    assert Desk(ORDERED).do(SETTLE) == [SUCCEEDED, GRANTED]


def test_settling_twice_is_settling_once_by_state_alone():
    desk = Desk(ORDERED)
    desk.do(SETTLE)
    assert desk.do(SETTLE) == []
    assert desk.payer.balance == 5


def test_money_that_came_twice_is_credited_twice():
    desk = Desk(ORDERED)
    desk.do(SETTLE)
    again = desk.do(replace(SETTLE, provider_payment="yk-2"))
    assert again == [
        replace(SUCCEEDED, provider_payment="yk-2", lot=2),
        replace(GRANTED, reference="yookassa:yk-2", lot=2),
    ]
    assert desk.payer.balance == 10


@each(
    "before",
    [
        [PaymentCancelled("yk-1", "expired_on_confirmation", "yoo_money")],
        [PaymentExpired("unpaid")],
        [PaymentFlagged("yk-1", "amount", 100, "RUB")],
    ],
)
def test_late_money_is_credited_whatever_we_thought_of_the_payment(before):
    desk = Desk(ORDERED, PaymentCreated("yk-1"), *before)
    assert desk.do(SETTLE) == [SUCCEEDED, GRANTED]
    assert [received.credits for received in desk.payment.received] == [5]


@each(
    ("problem", "change"),
    [
        ("amount", {"amount_minor": 38_999}),
        ("amount", {"amount_minor": 39_001}),
        ("currency", {"currency": "USD"}),
        ("shop", {"shop": "100501"}),
        ("shop", {"provider": "stars"}),
        ("test", {"test": True}),
        ("account", {"account": "b"}),
    ],
)
def test_money_that_was_not_ordered_so_is_flagged_once_and_credits_nothing(problem, change):
    desk = Desk(ORDERED)
    wrong = replace(SETTLE, **change)
    own = (wrong.provider, wrong.shop, wrong.test, wrong.account, wrong.facts)
    assert desk.do(wrong) == [PaymentFlagged("yk-1", problem, wrong.amount_minor, wrong.currency, *own)]
    assert desk.do(wrong) == []
    assert desk.payer == BUYER


def test_what_the_provider_told_of_the_money_is_kept_with_it():
    assert Desk(ORDERED).do(replace(SETTLE, facts=FACTS))[0] == replace(SUCCEEDED, facts=FACTS)
    desk = Desk(ORDERED)
    flagged = desk.do(replace(SETTLE, amount_minor=100, shop="9", test=True, account="b", facts=FACTS))
    assert flagged == [PaymentFlagged("yk-1", "account", 100, "RUB", "yookassa", "9", True, "b", FACTS)]
    accepted, _ = desk.do(p.AcceptPayment("p", "a", "yk-1", 1, "login:op", "by phone"))
    assert accepted.facts == FACTS, "also when an operator credits it later"
    refunded, _ = paid().do(replace(FOUND, kind="cabinet", facts=FACTS))
    assert (refunded.kind, refunded.facts) == ("cabinet", FACTS)


def test_an_order_keeps_whom_it_was_sold_to():
    sold = replace(ORDER, buyer="company", country="RU")
    assert Desk().do(sold) == [replace(ORDERED, buyer="company", country="RU")]


def test_another_problem_or_another_payment_is_another_flag():
    desk = Desk(ORDERED)
    desk.do(replace(SETTLE, amount_minor=1))
    assert len(desk.do(replace(SETTLE, test=True))) == 1
    assert len(desk.do(replace(SETTLE, test=True, provider_payment="yk-2"))) == 1


def test_test_money_of_a_test_order_is_credited():
    desk = Desk(replace(ORDERED, test=True))
    assert [type(event) for event in desk.do(replace(SETTLE, test=True))] == [
        PaymentSucceeded,
        CreditsGranted,
    ]


def test_flagged_money_that_went_back_is_not_credited_any_more():
    back = PaymentRefunded("yk-1", "yr-1", 100, "RUB", 0)
    desk = Desk(ORDERED, PaymentFlagged("yk-1", "amount", 100, "RUB"), back)
    assert desk.do(SETTLE) == []


def test_the_life_of_what_was_bought_begins_with_the_payment():
    desk = Desk(replace(ORDERED, life_s=60))
    _, granted = desk.do(SETTLE, now_us=7)
    assert granted.expires_at_us == 60_000_007


def test_what_is_over_is_booked_and_what_is_owed_is_settled_first():
    desk = Desk(ORDERED, payer=replace(BUYER, balance=-2, debt=2, lots_made=3))
    assert desk.do(SETTLE)[1] == replace(GRANTED, lot=4, settled=2)
    desk = Desk(ORDERED, payer=replace(BUYER, balance=1, lots=(Lot(1, 1, "bonus", 5),), lots_made=1))
    made = desk.do(SETTLE, now_us=5)
    assert made == [
        replace(SUCCEEDED, lot=2),
        CreditsExpired(1, 1, "bonus", 5),
        replace(GRANTED, lot=2),
    ]


def test_a_forgotten_account_gets_what_was_paid():
    desk = Desk(ORDERED, payer=replace(BUYER, forgotten=True))
    assert desk.do(SETTLE) == [SUCCEEDED, GRANTED]


def test_an_account_that_cannot_be_read_waits_for_its_credits():
    with pytest.raises(UnreadableAccountError):
        Desk(ORDERED, payer=replace(BUYER, broken="?")).do(SETTLE)


def test_a_cancellation_is_recorded_once_per_id_and_never_after_the_money():
    desk = Desk(ORDERED, PaymentCreated("yk-1"))
    assert desk.do(CANCEL) == [PaymentCancelled("yk-1", "expired_on_confirmation", "yoo_money")]
    assert desk.do(CANCEL) == []
    paid = Desk(ORDERED, SUCCEEDED)
    assert paid.do(CANCEL) == []
    assert paid.do(replace(CANCEL, provider_payment="yk-0")) == []  # of an older attempt


def test_giving_up_is_for_what_is_undecided():
    command = p.ExpirePayment("p", "unpaid")
    desk = Desk(ORDERED)
    assert desk.do(command) == [PaymentExpired("unpaid")]
    assert desk.do(command) == []
    for event in (SUCCEEDED, PaymentCancelled("yk-1", "r", "p"), PaymentFlagged("yk-1", "shop", 1, "RUB")):
        assert Desk(ORDERED, event).do(command) == []


def test_a_newer_attempt_than_the_one_refused_can_still_be_given_up():
    desk = Desk(ORDERED, PaymentCreated("yk-1"), PaymentCancelled("yk-1", "r", "p"), PaymentCreated("yk-2"))
    assert desk.do(p.ExpirePayment("p", "unpaid")) == [PaymentExpired("unpaid")]


def test_nothing_happens_to_what_was_never_ordered():
    for command in (CANCEL, p.ExpirePayment("p", "r"), p.RecordPaymentCreated("p", "yk-1")):
        with pytest.raises(PaymentNotFoundError):
            Desk().do(command)


def test_a_payment_that_cannot_be_read_is_left_alone():
    state = fold(PaymentState(ordered=ORDERED), "PaymentInvented", "{}")
    assert isinstance(state, PaymentState)
    desk = Desk()
    desk.payment = state
    for command in (SETTLE, replace(SETTLE, ordered=ORDERED), CANCEL, p.ExpirePayment("p", "r")):
        with pytest.raises(UnreadablePaymentError):
            desk.do(command)


def test_the_smallest_and_the_largest_that_there_may_be():
    for change in (
        {"credits": 1}, {"credits": AMOUNT_MAX}, {"amount_minor": 1}, {"amount_minor": 10**12}, {"life_s": 1},
    ):  # fmt: skip
        (ordered,) = Desk().do(replace(ORDER, **change))
        assert [getattr(ordered, name) for name in change] == list(change.values())
    for wrong in (
        {"credits": 0}, {"credits": AMOUNT_MAX + 1}, {"amount_minor": 0}, {"amount_minor": 10**12 + 1},
        {"life_s": 0}, {"package": ""}, {"currency": ""},
    ):  # fmt: skip
        with pytest.raises(InvalidCommandError):
            Desk().do(replace(ORDER, **wrong))
    for name in ("y", "y" * 128):
        assert Desk(ORDERED).do(p.RecordPaymentCreated("p", name)) == [PaymentCreated(name)]
    for name in ("", "y" * 129):
        with pytest.raises(InvalidCommandError, match="an id has 1 to 128 characters"):
            Desk(ORDERED).do(p.RecordPaymentCreated("p", name))
        with pytest.raises(InvalidCommandError, match="an id has 1 to 128 characters"):
            Desk(ORDERED).do(replace(SETTLE, provider_payment=name))


@each(
    "command",
    [
        replace(CANCEL, reason="declined for Anna Petrova"),
        replace(CANCEL, party="anna@example.com"),
        p.ExpirePayment("p", "+7 916 123-45-67"),
    ],
)
def test_a_sentence_gets_into_no_event(command):
    with pytest.raises(InvalidCommandError, match="a code, not a sentence"):
        Desk(ORDERED, PaymentCreated("yk-1")).do(command)
