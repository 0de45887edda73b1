"""The causal chain: every step once, in order, whatever order the rows come in; and every event in words."""

import random

import pytest
from msgspec.structs import replace

from events.account import CreditsGranted, CreditsRevoked, Paid
from events.codec import EVENT_TYPES, decode, decode_data
from events.envelope import Recorded
from events.errors import UnknownEventTypeError
from events.job import Video, VideoGifted
from events.payment import MoneyFacts, PaymentFlagged, PaymentSucceeded, Receipt
from events.stream_names import account_stream
from ledger import commands as c
from ledger.payments import commands as p
from projections.reports.event_text import describe, money
from projections.reports.explain import Message, chain_of
from tests.support.each import each
from tests.support.fake_clock_ledger import FakeClockLedger
from tests.support.history import History
from tests.unit.events.test_golden import LINES


def story() -> FakeClockLedger:
    """Bought, ordered, failed once outside, refunded."""
    desk = FakeClockLedger()
    desk.open("a", 0)
    desk.do(c.GrantCredits("a", 5, "purchase", "package", "pay-1", paid=Paid(49900, "RUB")))
    desk.order("a", "o1", "j1")
    desk.submit("j1")
    desk.fail("a", "j1")
    return desk


def test_steps_are_in_order_and_once_each() -> None:
    events = story().events[2:]
    shuffled = events + events[:3]
    random.Random(1).shuffle(shuffled)
    last_us = events[-1].recorded_at_us
    message = Message("j1", "failure", "a", "o1", "sent", 1, 77, None, last_us + 5, last_us + 10)
    chain = chain_of("order", "o1", shuffled, [message])
    assert [step.stage for step in chain.steps] == [
        "payment", "grant", "charge", "order", "attempt", "attempt", "attempt", "task", "failure", "refund",
        "message",
    ]  # fmt: skip
    times = [step.at_us for step in chain.steps]
    assert times == sorted(times)
    assert chain.steps[0].what == "pay-1, 499.00 RUB" and chain.steps[0].position is None
    assert chain.jobs == ("j1",)
    assert all((step.order, step.account) == ("o1", "a") for step in chain.steps if step.job == "j1")
    assert chain.steps[-1].what == "sent to the chat: why there is no video, message 77"


@each(
    ("state", "error", "words"),
    [
        ("pending", None, "owed to the chat, pending: the video"),
        ("sending", "Timeout", "owed to the chat, sending: the video, 3 attempts: Timeout"),
        ("failed", "403 blocked", "not sent to the chat, failed: the video, 3 attempts: 403 blocked"),
        ("skipped", None, "not sent to the chat, skipped: the video"),
    ],
)
def test_a_message_that_was_not_sent_says_so(state: str, error: str | None, words: str) -> None:
    attempts = 3 if error else 1
    message = Message("j1", "video", "a", "o1", state, attempts, None, error, 5, None)
    assert chain_of("job", "j1", [], [message]).steps[0].what == words


def test_an_unknown_event_is_said() -> None:
    strange = Recorded(7, "job-j1", 1, "JobDreamt", "{}", None, None, None, None, 5, bytes(32))
    with pytest.raises(UnknownEventTypeError, match="position 7"):
        chain_of("job", "j1", [strange])


def test_every_event_has_a_stage_and_words() -> None:
    assert {line.type for line in LINES} == EVENT_TYPES.keys()
    for line in LINES:
        said = describe(decode_data(line.type, line.data))
        assert said and "\n" not in said and "None" not in said


def test_money_in_its_smallest_unit() -> None:
    assert [money(Paid(n, cur)) for n, cur in ((49905, "RUB"), (250, "XTR"), (5, "USD"))] == [
        "499.05 RUB", "250 XTR", "0.05 USD",
    ]  # fmt: skip


def test_words_name_what_matters() -> None:
    history = History()
    granted = CreditsGranted(5, "promo", "SPRING", 1, None, 1_790_000_000_000_000, 2, None, "login:olga")
    [recorded] = history.record((account_stream("a"), granted))
    words = "5 credits, promo: SPRING, until 2026-09-21, 2 of them against what was owed, by login:olga"
    assert describe(decode(recorded)) == words


def test_words_tell_what_the_provider_told_and_nothing_else() -> None:
    receipt = Receipt("succeeded", "11", "full_payment")
    facts = MoneyFacts(7, 37_635, 1_365, None, "bank_card", receipt)
    paid = PaymentSucceeded("yookassa", "yk-1", 39_000, "RUB", 5, 1, facts)
    assert describe(paid) == (
        "paid: 390.00 RUB, yk-1; by bank_card, fee 13.65 RUB, 376.35 RUB left, receipt succeeded, "
        "VAT code 11, sold as full_payment"
    )
    assert describe(replace(paid, facts=MoneyFacts(at_us=7))) == "paid: 390.00 RUB, yk-1"
    flagged = PaymentFlagged("yk-1", "test", 100, "RUB", "yookassa", "9", True, "a", MoneyFacts(fee_minor=0))
    assert describe(flagged) == (
        "flagged, test differs: 1.00 RUB of test money, yk-1 in shop 9; fee 0.00 RUB; nothing is credited"
    )
    taken = CreditsRevoked(3, "refund", "r", "payment", returned=Paid(19_500, "RUB"), payment="p")
    assert describe(taken) == "3 credits taken back: refund, 195.00 RUB go back"
    assert describe(CreditsRevoked(3, "fraud", money="forfeited")).endswith("fraud, money forfeited")
    gift = VideoGifted(1, Video("v.mp4", "ab", 1_000_000), 61_500)
    assert describe(gift).endswith("1.0 MB, charged 61.5 of the provider's credits")


def test_a_payment_in_the_log_is_shown_once_and_with_its_account() -> None:
    desk = FakeClockLedger()
    desk.open("a", 0)
    terms = ("five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
    desk.do(p.OrderPayment("p1", "a", "yookassa", *terms))
    desk.do(p.RecordPaymentCreated("p1", "yk-1"))
    desk.do(p.SettlePayment("p1", "a", "yookassa", "yk-1", 39_000, "RUB", "1", False))
    desk.do(p.IntendRefund("p1", "a", "r1", "yk-1", 19_500, "login:op", "asked"))
    desk.do(p.FailRefund("p1", "a", "r1", "insufficient_funds"))
    desk.do(p.RecordRefund("p1", "a", "yookassa", "yk-1", "yr-1", 39_000))
    chain = chain_of("payment", "p1", desk.events[2:])
    assert [step.stage for step in chain.steps] == [
        "order", "payment", "payment", "grant", "refund", "revocation", "refund", "refund", "refund",
        "revocation",
    ]  # fmt: skip
    assert all(step.position is not None and step.account == "a" for step in chain.steps)
    assert chain.steps[0].what == "five ordered: 5 credits for 390.00 RUB by yookassa"
    without = chain_of("job", "j", [e for e in desk.events[2:] if e.type == "CreditsGranted"])
    assert [step.stage for step in without.steps] == ["payment", "grant"]
