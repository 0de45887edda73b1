"""The rules of payments are silent on what the deciders make, and find each way a history can be wrong."""

import random
from typing import Any

from msgspec.structs import replace

from events.account import AccountOpened, CreditsGranted, CreditsRestored, CreditsRevoked, Paid, Part
from events.codec import Event
from events.payment import (
    MoneyFacts,
    PaymentCreated,
    PaymentFlagged,
    PaymentOrdered,
    PaymentRefunded,
    PaymentSucceeded,
    Receipt,
    RefundFailed,
    RefundIntended,
)
from ledger.errors import RejectedError
from ledger.payments import commands as p
from projections.verify.findings import Findings
from projections.verify.invariants.log import Rules
from tests.support.each import each
from tests.support.event_samples import ACCOUNT
from tests.support.fake_clock_ledger import FakeClockLedger
from tests.support.history import History
from tests.unit.projections.verify.invariants.test_log import as_row, audited

Made = tuple[str, Event]

ORDERED = PaymentOrdered("a", "yookassa", "five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
SUCCEEDED = PaymentSucceeded("yookassa", "yk-1", 39_000, "RUB", 5, 1)
GRANTED = CreditsGranted(5, "purchase", "five", 1, "yookassa:yk-1", paid=Paid(39_000, "RUB"))
TAKEN = (Part(1, 3, "purchase"),)
INTENDED = RefundIntended("r1", "yk-1", 19_500, "RUB", 3, "login:op", "asked", TAKEN)
HALF = Paid(19_500, "RUB")
RESERVED = CreditsRevoked(3, "refund", "yookassa:yk-1", "payment", TAKEN, "login:op", HALF, "p")
FAILED = RefundFailed("r1", "insufficient_funds", 3)
CAME_BACK = CreditsRestored(3, "r1", TAKEN, 0, HALF, "p")
FULFILLED = PaymentRefunded("yk-1", "yr-1", 19_500, "RUB", 3, "r1", "ours")
FACTS = MoneyFacts(7, 37_635, 1_365, None, "bank_card", Receipt("succeeded", "1"))
FOUND = PaymentRefunded("yk-1", "yr-1", 19_500, "RUB", 3)


def of(*events: Event) -> tuple[Made, ...]:
    """One command's events, each in the stream of its kind."""
    streams = ("payment-p", ACCOUNT)
    return tuple((streams[type(event).__module__ == "events.account"], event) for event in events)


def history(*commands: tuple[Made, ...]) -> History:
    made = History()
    made.record((ACCOUNT, AccountOpened()))
    for command in commands:
        made.record(*command)
    return made


OF_ONE = (
    of(replace(FOUND, credits=1), replace(RESERVED, amount=1, parts=(Part(1, 1, "purchase"),), actor="")),
)
FLAGGED = of(PaymentFlagged("yk-1", "amount", 100, "RUB"))
ACCEPTED = of(
    replace(SUCCEEDED, amount_minor=100, credits=2),
    replace(GRANTED, amount=2, reason="by phone", paid=Paid(100, "RUB"), actor="login:op"),
)

PAID = (of(ORDERED), of(PaymentCreated("yk-1")), of(SUCCEEDED, GRANTED))


@each(
    "more",
    [
        (),
        (of(INTENDED, RESERVED), of(FULFILLED)),
        (of(PaymentFlagged("yk-2", "shop", 39_000, "RUB", facts=FACTS)),),
        (of(INTENDED, RESERVED), of(FAILED, CAME_BACK)),
        (of(FOUND, replace(RESERVED, actor="")),),
        (of(replace(FOUND, amount_minor=1, credits=0)),),
        (of(CreditsRevoked(4, "x", kind="fraud", parts=(Part(1, 4, "purchase"),))), *OF_ONE),
        (of(PaymentFlagged("yk-2", "shop", 9, "RUB")), of(PaymentRefunded("yk-2", "yr-2", 9, "RUB", 0))),
    ],
)  # fmt: skip
def test_a_right_history_is_silent(more: Any):
    assert audited(history(*PAID, *more).events) == ([], set())


def test_flagged_money_that_an_operator_accepts_is_right():
    assert audited(history(of(ORDERED), FLAGGED, ACCEPTED).events) == ([], set())


@each(
    ("commands", "words"),
    [
        ((of(ORDERED), of(SUCCEEDED)), "5 credits of yookassa:yk-1 were not given with the money"),
        ((of(ORDERED), of(SUCCEEDED), of(GRANTED)), "were not given with the money"),
        ((of(ORDERED), of(SUCCEEDED), of(GRANTED)), "were given at position 4 without such money"),
        ((of(GRANTED),), "were given at position 2 without such money"),
        ((of(ORDERED), of(SUCCEEDED, replace(GRANTED, amount=6))), "were not given with the money"),
        ((of(ORDERED), of(SUCCEEDED, replace(GRANTED, paid=None))), "says of yookassa:yk-1 what the payment"),
        ((of(ORDERED), of(replace(SUCCEEDED, lot=2), GRANTED)), "says of yookassa:yk-1 what the payment"),
        ((of(ORDERED), of(replace(SUCCEEDED, credits=6), replace(GRANTED, amount=6))), "ordered otherwise"),
        ((of(ORDERED), of(replace(SUCCEEDED, amount_minor=1), GRANTED)), "ordered otherwise"),
        ((of(ORDERED), of(replace(SUCCEEDED, currency="XTR"), GRANTED)), "ordered otherwise"),
        ((of(SUCCEEDED, GRANTED),), "was never ordered"),
        ((of(PaymentCreated("yk-1")),), "was never ordered"),
        ((*PAID, of(SUCCEEDED, replace(GRANTED, lot=2))), "was credited before"),
        (
            (*PAID, (("payment-q", ORDERED),), (("payment-q", replace(SUCCEEDED, lot=2)),
                                                (ACCOUNT, replace(GRANTED, lot=2)))),
            "the money of yookassa:yk-1 was credited before",
        ),
        ((*PAID, of(ORDERED)), "was ordered twice"),
        ((*PAID, of(INTENDED)), "3 credits of yookassa:yk-1 were not taken with the money"),
        ((*PAID, of(RESERVED)), "were taken at position 6 without such money"),
        ((*PAID, of(replace(INTENDED, credits=2), replace(RESERVED, amount=2))), "takes 2 credits, not 3"),
        ((*PAID, of(replace(INTENDED, amount_minor=39_001), RESERVED)), "more than is left"),
        ((*PAID, of(replace(INTENDED, amount_minor=0, credits=0))), "more than is left"),
        ((*PAID, of(replace(INTENDED, provider_payment="yk-2"), RESERVED)), "yk-2 is to go back and"),
        ((*PAID, of(INTENDED, RESERVED), of(INTENDED, RESERVED)), "is under way already"),
        ((*PAID, of(FAILED, CAME_BACK)), "was not under way"),
        ((*PAID, of(INTENDED, RESERVED), of(FAILED)), "3 credits of r1 were not given with the money"),
        (
            (*PAID, of(INTENDED, RESERVED), of(replace(FAILED, credits=2), replace(CAME_BACK, amount=2))),
            "gives back 2 credits, not 3",
        ),
        ((*PAID, of(INTENDED, RESERVED), of(CAME_BACK)), "came back at position 8 without a refund"),
        (
            (*PAID, of(INTENDED, RESERVED), of(FAILED, replace(CAME_BACK, parts=(Part(2, 3, "bonus"),)))),
            "to lots they were not taken from",
        ),
        ((*PAID, of(replace(INTENDED, parts=()), RESERVED)), "from other lots than it says"),
        ((*PAID, *OF_ONE), "takes 1 credits, not 3"),
        (
            (*PAID, of(CreditsRevoked(4, "x", kind="fraud", parts=(Part(1, 4, "purchase"),))),
             of(FOUND, replace(RESERVED, parts=(Part(1, 1, "purchase"),)))),
            "takes 3 credits, not 1",
        ),
        ((of(ORDERED), ACCEPTED), "ordered otherwise"),
        (
            (of(ORDERED), of(replace(SUCCEEDED, facts=replace(FACTS, fee_minor=1_364)), GRANTED)),
            "37635 and its fee 1364 are not the 39000 that came",
        ),
        ((of(ORDERED), of(replace(SUCCEEDED, facts=MoneyFacts(method="a b")), GRANTED)), "what no code may"),
        (
            (*PAID, of(INTENDED, RESERVED), of(replace(FULFILLED, facts=MoneyFacts(receipt=Receipt(""))))),
            "what no code may",
        ),
        ((*PAID, of(INTENDED, RESERVED), of(replace(FULFILLED, kind="cabinet"))), "and says otherwise"),
        ((*PAID, of(INTENDED, replace(RESERVED, returned=None))), "position 7 names other money"),
        ((*PAID, of(INTENDED, replace(RESERVED, payment="q"))), "position 7 names other money"),
        (
            (*PAID, of(INTENDED, RESERVED), of(FAILED, replace(CAME_BACK, returned=Paid(1, "RUB")))),
            "names other money",
        ),
        ((*PAID, of(FULFILLED)), "refund r1 is not what was begun"),
        ((*PAID, of(INTENDED, RESERVED), of(replace(FULFILLED, amount_minor=1))), "is not what was begun"),
        ((*PAID, of(INTENDED, RESERVED), of(FULFILLED), of(FULFILLED)), "was recorded before"),
        ((*PAID, of(FOUND)), "3 credits of yookassa:yk-1 were not taken with the money"),
        ((*PAID, of(replace(FOUND, provider_payment="yk-2"))), "yk-2 went back and never came"),
        (
            (*PAID, of(replace(FOUND, amount_minor=39_001, credits=5), replace(RESERVED, amount=5))),
            "more of yk-1 went back than came",
        ),
        (
            (of(ORDERED), of(PaymentFlagged("yk-1", "amount", 100, "RUB")),
             of(PaymentRefunded("yk-1", "yr-1", 100, "RUB", 5), replace(RESERVED, amount=5, parts=()))),
            "takes 5 credits, not 0",
        ),
    ],
)  # fmt: skip
def test_a_wrong_history_is_found(commands: Any, words: str):
    problems, _ = audited(history(*commands).events)
    assert any(problem.kind == "payment" and words in problem.message for problem in problems), problems


def test_other_events_cannot_stand_in_a_payment_nor_a_payments_elsewhere():
    strange = history((("payment-p", GRANTED),), (("job-j", ORDERED),), ((ACCOUNT, ORDERED),))
    problems, _ = audited(strange.events)
    assert [problem.message for problem in problems if problem.kind == "stream"] == [
        "CreditsGranted at position 2 cannot stand in payment-p",
        "PaymentOrdered at position 3 cannot stand in job-j",
        "PaymentOrdered at position 4 cannot stand in account-a",
    ]


def test_a_missing_version_and_data_that_cannot_be_read_are_found():
    events = history(*PAID).events
    events[2] = replace(events[2], version=7)
    problems, _ = audited(events)
    assert [problem.kind for problem in problems] == ["stream", "stream"]
    events = history(*PAID).events
    events[1] = replace(events[1], data="{}")
    problems, _ = audited(events)
    assert problems[0].kind == "unreadable"


def test_purchases_from_before_there_were_payments_stay_valid():
    old = [replace(GRANTED, reference=reference) for reference in (None, "payment-1", "pay-1")]
    commands = [of(replace(grant, lot=n)) for n, grant in enumerate(old, start=1)]
    revoked = of(CreditsRevoked(1, "chargeback", "pay-1", "payment", (Part(1, 1, "purchase"),)))
    assert audited(history(*commands, revoked).events) == ([], set())


def test_a_walk_that_begins_inside_a_command_does_not_ask_for_what_was_before():
    events = history(*PAID, of(INTENDED, RESERVED), of(FAILED, CAME_BACK)).events
    for after in range(1, len(events)):
        findings = Findings()
        rules = Rules(findings, after=after)
        before = [as_row(event) for event in events[:after]]
        rules.load_accounts([row for row in before if row[1] == ACCOUNT])
        rules.load_payments([row for row in before if row[1] == "payment-p"])
        begun = max(event.position for event in events[:after] if event.command_events)
        left = begun + (events[begun - 1].command_events or 0) - 1 - after
        rules.resume(left, events[after - 1].recorded_at_us)
        rules.add([as_row(event) for event in events[after:]])
        rules.finish()
        assert [p for p in findings.problems if p.kind != "books"] == [], after


@each("seed", range(30))
def test_whatever_the_deciders_make_is_right(seed: int):
    chance, desk = random.Random(seed), FakeClockLedger()
    desk.open("a", 2)
    amount = chance.choice((39_000, 7, 100))
    desk.do(p.OrderPayment("p", "a", "stars", "seven", 7, amount, "XTR", "", False, 3, "7 videos", "en"))
    for step in range(40):
        name = f"c{chance.randrange(3)}"
        part = chance.randrange(1, amount + 1)
        commands: list[p.PaymentCommand] = [
            p.SettlePayment("p", "a", "stars", name, amount, "XTR", "", chance.random() < 0.1),
            p.RecordPaymentCreated("p", name),
            p.CancelPayment("p", name, "r", "p"),
            p.ExpirePayment("p", "r"),
            p.IntendRefund("p", "a", f"r{step}", name, part, "login:op", "asked"),
            p.FailRefund("p", "a", f"r{chance.randrange(step + 1)}", "no"),
            p.RecordRefund("p", "a", "stars", name, f"g{step}", part),
        ]
        try:
            desk.do(chance.choice(commands))
        except RejectedError:
            continue
    problems, _ = audited(desk.events)
    # That more went back than had come is a fact from outside; it is recorded, and it is said.
    assert [found for found in problems if "went back than came" not in found.message] == []
