"""Orders brought back from what the provider keeps, and facts that several bring: given, when, then."""

import pytest
from msgspec.structs import replace

from events.account import AccountOpened
from ledger.accounts.state import AccountState
from ledger.commands import body
from ledger.errors import InvalidCommandError, PaymentNotFoundError, UnreadablePaymentError
from ledger.payments import commands as p
from ledger.payments.state import PaymentState
from tests.support.payment_samples import FACTS, FLAGGED, GRANTED, ORDER, ORDERED, SETTLE, SUCCEEDED, Desk


def test_an_order_that_is_gone_is_restored_from_what_the_provider_keeps():
    desk = Desk()
    with pytest.raises(PaymentNotFoundError):
        desk.do(SETTLE)
    made = desk.do(replace(SETTLE, ordered=ORDERED))
    assert made == [replace(ORDERED, restored=True), SUCCEEDED, GRANTED]
    assert desk.do(replace(SETTLE, ordered=ORDERED)) == []
    assert desk.do(ORDER) == []  # the lost order's own key would bring it back


def test_an_account_that_is_gone_too_is_opened():
    made = Desk(payer=AccountState()).do(replace(SETTLE, ordered=ORDERED))
    assert made == [replace(ORDERED, restored=True), AccountOpened("restored"), SUCCEEDED, GRANTED]


def test_a_restored_order_is_compared_like_any_other():
    wrong = replace(SETTLE, amount_minor=100, ordered=ORDERED)
    made = Desk().do(wrong)
    assert made == [replace(ORDERED, restored=True), FLAGGED]
    with pytest.raises(InvalidCommandError):
        Desk().do(replace(SETTLE, ordered=replace(ORDERED, credits=0)))


def test_what_the_log_has_is_what_counts_whatever_the_provider_keeps():
    desk = Desk(ORDERED)
    made = desk.do(replace(SETTLE, ordered=replace(ORDERED, credits=500)))
    assert made == [SUCCEEDED, GRANTED]


def test_every_fact_has_one_key_and_one_body_whoever_brings_it():
    bare, hinted = SETTLE, replace(SETTLE, ordered=ORDERED, facts=FACTS)
    assert p.key_of(bare) == "payment:yookassa:yk-1"
    assert body(bare) == body(hinted)
    found = p.RecordRefund("p", "a", "yookassa", "yk-1", "yr-1", 100)
    assert p.key_of(found) == "refund:yookassa:yr-1"
    assert body(found) == body(replace(found, refund="r1", kind="cabinet", facts=FACTS))
    assert body(found) != body(replace(found, amount_minor=101))


def test_the_keys_of_different_commands_differ():
    commands: list[p.PaymentCommand] = [
        ORDER, p.RecordPaymentCreated("p", "yk-1"), SETTLE,
        p.CancelPayment("p", "yk-1", "r", "yoo_money"), p.ExpirePayment("p", "r"),
        p.IntendRefund("p", "a", "p", "yk-1", 1, "login:op", "r"), p.FailRefund("p", "a", "p", "r"),
        p.RecordRefund("p", "a", "yookassa", "yk-1", "yk-1", 1),
        p.AcceptPayment("p", "a", "yk-1", 5, "login:op", "r"),
    ]  # fmt: skip
    assert len({p.key_of(command) for command in commands}) == len(p.PaymentCommand.__args__) == 9


def test_what_the_provider_keeps_has_to_make_sense():
    for nonsense in (replace(ORDERED, credits=0), replace(ORDERED, account=""), replace(ORDERED, package="")):
        with pytest.raises(InvalidCommandError):
            Desk().do(replace(SETTLE, account=nonsense.account or "a", ordered=nonsense))


def test_an_order_that_cannot_be_read_is_not_restored():
    desk = Desk()
    desk.payment = PaymentState(broken="torn")
    with pytest.raises(UnreadablePaymentError):
        desk.do(replace(SETTLE, ordered=ORDERED))


def test_nobody_elses_account_is_opened():
    other = replace(ORDERED, account="b")
    made = Desk(payer=AccountState()).do(replace(SETTLE, ordered=other))
    assert made == [replace(other, restored=True), replace(FLAGGED, problem="account", amount_minor=39_000)]
