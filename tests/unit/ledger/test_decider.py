"""The door to all rules: what a command reads, which state a stream begins with, what a broken row leaves."""

from typing import get_args

import pytest
from msgspec.structs import replace

from events.account import AccountOpened, Part
from events.codec import encode
from events.errors import UnknownEventTypeError
from events.job import Failure, JobQueued, JobStarted, Video
from events.payment import PaymentCancelled
from events.promo import PromoDisabled
from events.system import KeyRotated, LogStated
from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.commands import Command
from ledger.decider import State, decide, evolve, fold, initial, streams_read
from ledger.errors import InvalidCommandError, LedgerError
from ledger.jobs.state import JobState
from ledger.payments import commands as p
from ledger.payments.state import PaymentState
from ledger.promotions import commands as g
from ledger.promotions.promo_codes import PromoState
from ledger.system import commands as s
from tests.support.each import each
from tests.support.payment_samples import FAIL, INTEND, ORDER, SETTLE

PARTS = (Part(1, 3, "purchase"),)
QUEUED = JobQueued("a", "o", 1, 1, 3, "m", "ugc", "p", "b", "ru", 1_000, parts=PARTS)
FAILURE = Failure("transient")

READ: dict[Command, str] = {
    c.OpenAccount("a", "0" * 64): "account-a",
    c.OpenAccount("a", "0" * 64, invited_by="b"): "account-a account-b",
    c.AcceptTerms("a", "1", 0): "account-a",
    c.GrantCredits("a", 1, "manual", "x"): "account-a",
    c.RevokeCredits("a", 1, "x"): "account-a",
    c.ExpireCredits("a"): "account-a",
    c.ProposeChange("a", "c", "grant", 1, "x", "user:u"): "account-a",
    c.ApproveChange("a", "c", "x", "user:u"): "account-a",
    c.WithdrawChange("a", "c", "x", "user:u"): "account-a",
    c.ForgetAccount("a", "x", "login:op"): "account-a",
    c.OrderVideos("a", "o", ("j",), 1, "m", "ugc", "p", "b", "ru", 900): "account-a system-sales",
    c.StartJob("j", 1, "w"): "job-j",
    c.RecordPrompt("j", 1, "t", "openai", "v"): "job-j",
    c.IntendSubmission("j", 1, 1, "k", "m"): "job-j",
    c.RecordAccepted("j", 1, "task"): "job-j",
    c.HandBackJob("j", 1, "w"): "job-j",
    c.SucceedJob("j", 1, 1, Video("v", "00", 1)): "job-j",
    c.ReissueJob("j", 1): "job-j",
    c.DropDeadLetter("j", "x", "login:op"): "job-j",
    c.RateVideo("j", "a", 5): "job-j account-a",
    s.RecordStart("bot", "1", "", "0" * 64): "system-bot",
    s.PauseSales("login:op", "x"): "system-sales",
    s.ResumeSales("login:op", "x"): "system-sales",
    s.CheckDayCap("welcome", 20_787, 1, 1): "system-sales",
    s.StateLog(LogStated("k", "v", ())): "system-log",
    s.RotateKey(KeyRotated("k", "l", "", "login:op", "x")): "system-log",
    c.FailJob("j", "a", "monitor", FAILURE): "job-j account-a",
    c.FailSubmission("j", "a", 1, 1, FAILURE): "job-j account-a",
    c.RequeueJob("j", "a", "j2", 0, "m", 60, "x", "login:op"): "job-j account-a",
    ORDER: "payment-p account-a system-sales",
    SETTLE: "payment-p account-a",
    INTEND: "payment-p account-a",
    FAIL: "payment-p account-a",
    p.RecordRefund("p", "a", "yookassa", "yk-1", "r-1", 1): "payment-p account-a",
    p.AcceptPayment("p", "a", "yk-1", 1, "login:op", "x"): "payment-p account-a",
    p.RecordPaymentCreated("p", "yk-1"): "payment-p",
    p.CancelPayment("p", "yk-1", "x", "y"): "payment-p",
    p.ExpirePayment("p", "x"): "payment-p",
    g.CreatePromo("CODE", 1, 1, None, None, "login:op", "x"): "promo-CODE",
    g.DisablePromo("CODE", "login:op", "x"): "promo-CODE",
    g.RedeemPromo("CODE", "a"): "promo-CODE account-a",
    g.RewardInvitation("a", "b", 1, 1): "account-a account-b",
    g.RewardInvitation("a", "b", 1, 1, job="j"): "account-a account-b job-j",
}
"""Command → the streams it reads."""


def test_every_command_is_here() -> None:
    assert {type(command) for command in READ} == set(get_args(Command))


@each("command", READ)
def test_a_decision_reads_the_streams_it_says_and_no_other(command: Command) -> None:
    assert streams_read(command) == tuple(READ[command].split())
    view = {stream: initial(stream) for stream in streams_read(command)}
    try:
        decide(view, command, 0)
    except LedgerError as error:
        assert "another kind" not in str(error)


@each("command", READ)
def test_a_state_of_another_kind_is_no_state(command: Command) -> None:
    """Whichever of the streams it is; only those that no rule looks at may hold anything."""
    view: dict[str, State] = {stream: initial(stream) for stream in streams_read(command)}
    first = streams_read(command)[0]
    view[first] = JobState() if not first.startswith("job-") else AccountState()
    with pytest.raises(LedgerError, match=f"^stream {first} holds another kind of state$"):
        decide(view, command, 0)


@each(
    ("stream", "state"),
    [
        ("account-a", AccountState()), ("job-j", JobState()), ("payment-p", PaymentState()),
        ("promo-CODE", PromoState()),
    ],
)  # fmt: skip
def test_an_empty_stream_has_the_state_of_its_kind(stream: str, state: State) -> None:
    assert initial(stream) == state


def test_a_stream_of_no_kind_has_none() -> None:
    with pytest.raises(InvalidCommandError, match=r"^stream 'video-1' is of no known kind$"):
        initial("video-1")


def test_each_kind_of_state_goes_on_by_its_own_rules() -> None:
    account = evolve(AccountState(), AccountOpened())
    assert isinstance(account, AccountState) and account.opened
    job = evolve(evolve(JobState(), QUEUED), JobStarted(1, "w"))
    assert isinstance(job, JobState) and job.run == 1
    payment = evolve(PaymentState(), PaymentCancelled("yk-1", "x", "y"))
    assert isinstance(payment, PaymentState) and payment != PaymentState()
    promo = evolve(PromoState(), PromoDisabled("login:op", "x"))
    assert isinstance(promo, PromoState) and promo.disabled


@each("state", [AccountState(balance=3), PaymentState(), PromoState()])
def test_a_row_that_cannot_be_read_breaks_the_state_and_changes_nothing_else(state: State) -> None:
    broken = fold(state, "Invented", "{}")
    assert broken == replace(state, broken=str(UnknownEventTypeError("Invented")))


def test_a_broken_job_still_knows_what_a_refund_needs() -> None:
    data = encode(QUEUED).replace('"deadline_at_us":1000', '"deadline_at_us":"never"')
    broken = fold(JobState(), "JobQueued", data)
    assert isinstance(broken, JobState) and "deadline_at_us" in broken.broken
    assert (broken.account, broken.price, broken.parts, broken.outcome) == ("a", 3, PARTS, "")
    assert broken.queued is None

    unreadable = fold(JobState(), "JobQueued", "[]")
    assert isinstance(unreadable, JobState) and unreadable.broken
    assert (unreadable.account, unreadable.price, unreadable.parts) == ("", 0, ())


@each(("name", "outcome"), [("JobSucceeded", "succeeded"), ("JobFailed", "failed"), ("JobStarted", "")])
def test_a_broken_job_still_knows_whether_it_has_ended(name: str, outcome: str) -> None:
    broken = fold(JobState(), name, "[]")
    assert isinstance(broken, JobState) and (broken.outcome, bool(broken.broken)) == (outcome, True)
    ended = fold(JobState(outcome="failed"), "JobStarted", "[]")
    assert isinstance(ended, JobState) and ended.outcome == "failed"


def test_only_a_jobs_order_says_who_was_charged() -> None:
    """An unknown event may have fields of the same names."""
    broken = fold(JobState(), "Invented", '{"account":"x","price":9}')
    assert isinstance(broken, JobState) and (broken.account, broken.price) == ("", 0)
