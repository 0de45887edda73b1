"""The account's rules: given what happened, when a command comes, then these events or this refusal."""

from typing import Any

import pytest
from msgspec.structs import replace

from events.account import (
    AccountForgotten,
    AccountOpened,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    Part,
    TermsAccepted,
)
from events.job import JobQueued
from events.stream_names import account_stream
from ledger import commands as c
from ledger.accounts import decider as account
from ledger.accounts.decider import NewEvents
from ledger.accounts.lots import Lot
from ledger.accounts.state import UNKNOWN_LOT, AccountState, evolve
from ledger.decider import decide
from ledger.errors import (
    AccountErasedError,
    AccountNotOpenError,
    InsufficientCreditsError,
    InvalidCommandError,
    TermsNotAcceptedError,
    UnreadableAccountError,
)
from ledger.payments.state import PaymentState, Received
from ledger.system.decider import SystemState
from tests.support.each import each


def of_lot(amount: int) -> tuple[Part, ...]:
    return (Part(1, amount, "bonus"),)


OPENED = [AccountOpened()]
AGREED = [*OPENED, TermsAccepted("1"), CreditsGranted(2, "bonus", "welcome", 1)]


def given(*events):
    state = AccountState()
    for event in events:
        state = evolve(state, event)
    return state


def events_of(made: NewEvents) -> list[Any]:
    return [event for _, event in made]


def order(*jobs, price=1, deadline_s=900):
    return c.OrderVideos("a", "o", jobs, price, "m", "ugc", "p", "b", "ru", deadline_s)


def test_opening_twice_makes_one_event():
    opened = AccountOpened(person="0" * 64)
    assert account.open_account(given(), c.OpenAccount("a", "0" * 64)) == [("account-a", opened)]
    assert account.open_account(given(*OPENED), c.OpenAccount("a", "0" * 64)) == []


def test_nobody_opens_an_account_without_saying_whose_it_is():
    for person in ("", "0" * 63, "F" * 64, "0" * 64 + "\n", "4242"):
        with pytest.raises(InvalidCommandError, match="whose account"):
            account.open_account(given(), c.OpenAccount("a", person))


def test_agreeing_brings_the_welcome_credits_once_ever():
    made = account.accept_terms(given(*OPENED), c.AcceptTerms("a", "1", 2))
    assert [event for _, event in made] == [TermsAccepted("1"), CreditsGranted(2, "bonus", "welcome", lot=1)]
    assert account.accept_terms(given(*AGREED), c.AcceptTerms("a", "1", 2)) == []
    again = account.accept_terms(given(*AGREED), c.AcceptTerms("a", "2", 2))
    assert [event for _, event in again] == [TermsAccepted("2")]


def test_no_welcome_credits_when_there_are_none_to_give():
    made = account.accept_terms(given(*OPENED), c.AcceptTerms("a", "1", 0))
    assert [event for _, event in made] == [TermsAccepted("1")]


def test_an_order_charges_and_queues_each_job():
    made = account.order_videos(given(*AGREED), order("j1", "j2"), now_us=5)
    assert [(stream, type(event)) for stream, event in made] == [
        ("account-a", CreditsCharged),
        ("job-j1", JobQueued),
        ("account-a", CreditsCharged),
        ("job-j2", JobQueued),
    ]
    queued = made[3][1]
    assert isinstance(queued, JobQueued)
    assert (queued.number, queued.of, queued.deadline_at_us) == (2, 2, 900_000_005)


def test_an_order_is_all_or_nothing():
    with pytest.raises(InsufficientCreditsError) as refused:
        account.order_videos(given(*AGREED), order("j1", "j2", "j3"), now_us=0)
    assert (refused.value.balance, refused.value.needed) == (2, 3)


def test_a_revocation_may_leave_less_than_zero_and_then_nothing_can_be_ordered():
    state = given(*AGREED, CreditsCharged("j", "o", 2, of_lot(2)), CreditsRevoked(2, "chargeback"))
    assert state.balance == -2
    with pytest.raises(InsufficientCreditsError):
        account.order_videos(state, order("j1"), now_us=0)
    assert (
        given(
            *AGREED,
            CreditsCharged("j", "o", 2, of_lot(2)),
            CreditsRefunded("j", 2, "transient", of_lot(2)),
        ).balance
        == 2
    )


@each(
    ("state", "command", "error"),
    [
        (given(), order("j"), AccountNotOpenError),
        (given(*OPENED, CreditsGranted(5, "manual", "x", 1)), order("j"), TermsNotAcceptedError),
        (given(*AGREED), order(), InvalidCommandError),
        (given(*AGREED), order("j", "j"), InvalidCommandError),
        (given(*AGREED), order(*map(str, range(51))), InvalidCommandError),
        (given(*AGREED), order("j", price=0), InvalidCommandError),
        (given(*AGREED), order("j", deadline_s=0), InvalidCommandError),
        (AccountState(opened=True, terms="1", balance=9, broken="?"), order("j"), UnreadableAccountError),
    ],
)
def test_orders_refused(state, command, error):
    with pytest.raises(error):
        account.order_videos(state, command, now_us=0)


def test_a_forgotten_account_takes_no_orders_and_still_gets_its_refunds():
    command = c.ForgetAccount("a", "asked", "login:support")
    made = account.forget(given(*AGREED), command)
    assert made == [("account-a", AccountForgotten("asked", "login:support"))]
    state = given(*AGREED, CreditsCharged("j", "o", 1, of_lot(1)), AccountForgotten("asked", "login:support"))
    assert account.forget(state, command) == []
    with pytest.raises(AccountErasedError):
        account.order_videos(state, order("k"), now_us=0)
    back = account.refund(state, account.Charge("a", "j", 1, ()), "timeout", 0, 1)
    assert evolve(state, back[0][1]).balance == 2  # type: ignore[arg-type]


@each("amount", [0, -1, 1_000_001])
def test_amounts_out_of_range_are_refused(amount):
    with pytest.raises(InvalidCommandError):
        account.grant(given(*AGREED), c.GrantCredits("a", amount, "manual", "x"), now_us=0)
    with pytest.raises(InvalidCommandError):
        account.revoke(given(*AGREED), c.RevokeCredits("a", amount, "x"), now_us=0)


def test_who_comes_back_begins_with_what_they_owed():
    made = account.open_account(given(), c.OpenAccount("a", "0" * 64, debt=4))
    owed = CreditsRevoked(4, "owed before", kind="carried")
    assert made == [("account-a", AccountOpened(person="0" * 64)), ("account-a", owed)]
    assert account.open_account(given(*OPENED), c.OpenAccount("a", "0" * 64, debt=4)) == []
    assert c.body(c.OpenAccount("a", "0" * 64, debt=4)) == c.body(
        c.OpenAccount("a", "0" * 64)
    )  # who knows less asks for the same


@pytest.mark.parametrize(("owed", "carried"), [(0, []), (3, [3]), (9, [5])])
def test_no_more_of_a_debt_is_carried_over_than_is_owed(owed: int, carried: list[int]):
    debt = [CreditsRevoked(owed, "chargeback", kind="payment")] if owed else []
    made = account.grant(given(*AGREED, *debt), c.GrantCredits("a", 5, "carried", "erased"), now_us=0)
    found = [event for _, event in made if isinstance(event, CreditsGranted)]
    assert [event.amount for event in found] == [event.settled for event in found] == carried


def test_who_does_it_was_authenticated_and_is_no_name():
    for actor in ("login:op7", "account:0123456789abcdefghijklmn", "user:k3"):
        made = account.grant(given(*AGREED), c.GrantCredits("a", 1, "manual", "x", actor=actor), now_us=0)
        assert getattr(made[0][1], "actor", None) == actor
    for actor in (
        "ann",
        "admin:ann",
        "login:",
        "login:Анна",
        "user:a b",
        "telegram:4242",
        "login:" + "x" * 64,
    ):
        for command in (
            c.GrantCredits("a", 1, "manual", "x", actor=actor),
            c.RevokeCredits("a", 1, "x", actor=actor),
            c.ForgetAccount("a", "x", actor),
        ):
            with pytest.raises(InvalidCommandError, match="login:<database login>"):
                decide({"account-a": given(*AGREED)}, command, 0)


def test_nobody_is_erased_without_a_name_and_a_reason():
    for actor, reason in (("", "asked"), ("login:op", "")):
        with pytest.raises(InvalidCommandError, match="say who does this and why"):
            account.forget(given(*OPENED), c.ForgetAccount("a", reason, actor))


def test_nothing_is_agreed_expired_or_erased_on_an_account_that_is_not_open():
    for command in (
        c.AcceptTerms("a", "1", 2),
        c.ExpireCredits("a"),
        c.ForgetAccount("a", "asked", "login:me"),
    ):
        with pytest.raises(AccountNotOpenError):
            decide({account_stream("a"): given()}, command, 0)


def test_limits_hold_to_the_last_one():
    rich = given(*OPENED, TermsAccepted("1"), CreditsGranted(1_000_000, "manual", "most", lot=1))
    jobs = [f"j{n}" for n in range(account.JOBS_PER_ORDER_MAX)]
    assert len(account.order_videos(rich, order(*jobs, deadline_s=1), 0)) == 2 * account.JOBS_PER_ORDER_MAX
    assert account.grant(given(*OPENED), c.GrantCredits("a", account.AMOUNT_MAX, "manual", "most"), 0)
    one = account.accept_terms(given(*OPENED), c.AcceptTerms("a", "1", 1))
    assert [type(event) for _, event in one] == [TermsAccepted, CreditsGranted]
    with pytest.raises(InvalidCommandError):
        account.accept_terms(given(*OPENED), c.AcceptTerms("a", "1", account.AMOUNT_MAX + 1))


@each(
    "command",
    [
        c.AcceptTerms("a", "1", 2), c.GrantCredits("a", 1, "bonus", "x"), c.RevokeCredits("a", 1, "x"),
        c.ExpireCredits("a"), c.ForgetAccount("a", "asked", "login:op"), order("j"),
    ],
)  # fmt: skip
def test_nothing_is_decided_on_an_account_that_is_not_there_or_cannot_be_read(command):
    with pytest.raises(AccountNotOpenError, match="account a does not exist"):
        decide({"account-a": given(), "system-sales": SystemState()}, command, 0)
    with pytest.raises(UnreadableAccountError, match="account a cannot be read: torn"):
        view = {"account-a": replace(given(*AGREED), broken="torn"), "system-sales": SystemState()}
        decide(view, command, 0)


def test_the_smallest_and_the_largest_that_there_may_be():
    opened, rich = given(*OPENED), replace(given(*AGREED), balance=10**9, lots=(Lot(1, 10**9, "bonus"),))
    assert events_of(account.accept_terms(opened, c.AcceptTerms("a", "1", 1)))[1].amount == 1
    (largest,) = events_of(account.grant(opened, c.GrantCredits("a", account.AMOUNT_MAX, "bonus", "x"), 0))
    assert largest.amount == account.AMOUNT_MAX
    for amount in (0, account.AMOUNT_MAX + 1):
        with pytest.raises(InvalidCommandError, match="an amount is 1 to"):
            account.grant(opened, c.GrantCredits("a", amount, "bonus", "x"), 0)
    with pytest.raises(InvalidCommandError, match="an amount is 1 to"):
        account.accept_terms(opened, c.AcceptTerms("a", "1", account.AMOUNT_MAX + 1))
    many = [f"j{number}" for number in range(account.JOBS_PER_ORDER_MAX)]
    assert len(account.order_videos(rich, order(*many), 0)) == 2 * len(many)
    for jobs in ([], [*many, "more"], ["j", "j"]):
        with pytest.raises(InvalidCommandError, match="different jobs"):
            account.order_videos(rich, order(*jobs), 0)
    (_, queued) = events_of(account.order_videos(rich, order("j", deadline_s=1), 7))
    assert queued.deadline_at_us == 1_000_007
    with pytest.raises(InvalidCommandError, match="a deadline of 0 seconds is none"):
        account.order_videos(rich, order("j", deadline_s=0), 0)
    for format, seconds in (("9:16", 5), ("photo", 600), ("16:9", 0), ("", 1)):
        asked = replace(order("j"), format=format, seconds=seconds)
        (_, queued) = events_of(account.order_videos(rich, asked, 7))
        assert (queued.format, queued.seconds) == (format, seconds)
    for format, seconds in (
        ("9x16", 5),
        ("0:1", 5),
        ("100:1", 5),
        ("9:16\n", 5),
        ("9:16", -1),
        ("9:16", 601),
    ):
        with pytest.raises(InvalidCommandError, match="no video has"):
            account.order_videos(rich, replace(order("j"), format=format, seconds=seconds), 0)


def test_a_refund_of_a_charge_that_names_no_lots_is_a_gift():
    ((_, refunded),) = account.refund(given(*AGREED), account.Charge("a", "j", 2, ()), "timeout", 0, 60)
    assert refunded == CreditsRefunded("j", 2, "timeout", (Part(UNKNOWN_LOT, 2, "bonus"),))


def test_what_comes_back_books_what_is_over_first():
    dead = (Lot(1, 2, "bonus", 5), Lot(2, 3, "purchase"))
    state = replace(given(*AGREED), balance=5, lots=dead)
    made = account.restore(state, "a", (Part(2, 1, "purchase"),), "r1", 10, 60)
    assert [type(event).__name__ for _, event in made] == ["CreditsExpired", "CreditsRestored"]
    with pytest.raises(UnreadableAccountError):
        account.restore(replace(state, broken="torn"), "a", (), "r1", 10, 60)


DEAD = [
    *OPENED,
    CreditsGranted(30, "purchase", "pack", 1, "yookassa:yk", 100),
    CreditsExpired(1, 30, "purchase", 100),
]
"""Thirty bought credits that expired by a clock that was ahead."""


def corrected(amount: int = 30, ends_at_us: int = 100, **changed: str) -> c.GrantCredits:
    back = c.GrantCredits("a", amount, "correction", "the host's clock", "clock:9", ends_at_us, from_lot=1)
    return replace(back, **{"actor": "login:op"} | changed)


def test_what_expired_by_a_wrong_clock_comes_back_and_is_lost_no_more():
    state = given(*DEAD)
    (back,) = events_of(account.correct(state, PaymentState(), corrected(), 50))
    assert back == CreditsGranted(
        30, "correction", "the host's clock", 2, "clock:9", 100, actor="login:op", from_lot=1
    )
    assert state.lost_of(1) == 30 and evolve(state, back).lost_of(1) == 0
    view = {"account-a": state, "payment-p": PaymentState()}
    assert decide(view, corrected(payment="p"), 50) == decide(view, corrected(), 50) == [("account-a", back)]
    given_lot = [*OPENED, CreditsGranted(5, "bonus", "x", 1, None, 100), CreditsExpired(1, 5, "bonus", 100)]
    (gift,) = events_of(account.correct(given(*given_lot), PaymentState(), corrected(5), 50))
    assert evolve(given(*given_lot), gift).lost == (), "of a gift nothing is sent back"


def test_credits_whose_end_has_come_meanwhile_live_as_those_of_a_refund():
    (late,) = events_of(account.correct(given(*DEAD), PaymentState(), corrected(), 100))
    assert late.expires_at_us == 100 + 7 * 24 * 3600 * 1_000_000


@each(("sent_back", "taken", "comes"), [(0, 0, 30), (1000, 0, 20), (3000, 0, None), (1000, 10, 20)])
def test_credits_whose_money_went_back_while_they_were_dead_stay_gone(sent_back, taken, comes):
    """As if nothing had expired: of thirty for 3,000, those of what went back and took none."""
    received = Received("yk", 3000, "RUB", 30, 1, refunded_minor=sent_back, revoked=taken)
    other = replace(received, provider_payment="other", lot=7, refunded_minor=3000)
    expired = 30 - taken
    before = (
        DEAD[:-1]
        if not taken
        else [*DEAD[:-1], CreditsRevoked(10, "x", kind="payment", parts=(Part(1, 10, "purchase", 100),))]
    )
    state = given(*before, CreditsExpired(1, expired, "purchase", 100))
    made = events_of(account.correct(state, PaymentState(received=(other, received)), corrected(expired), 50))
    assert [event.amount for event in made] == ([] if comes is None else [comes])
    for event in made:  # and a later refund of the rest takes them
        rest = received.taken_by(3000 - sent_back, evolve(state, event).lost_of(1))
        assert rest == event.amount


def test_nothing_is_corrected_by_nobody():
    for anonymous in (corrected(actor=""), corrected(reason="")):
        with pytest.raises(InvalidCommandError):
            account.correct(given(*DEAD), PaymentState(), anonymous, 50)
