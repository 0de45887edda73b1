"""Whatever is bought, spent, over, taken, sent back and forgotten in whatever order: a plain model agrees.

What a refund takes of what was bought is never more than is neither expired nor taken, and one that fails
gives back exactly that. `verify`, which shares nothing with the rules, is content with every history.
"""

import itertools
from collections import Counter

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events.account import (
    CreditsExpired,
    CreditsGranted,
    CreditsRestored,
    CreditsRevoked,
    GrantKind,
    RevokeKind,
)
from events.codec import decode
from events.job import Failure
from events.payment import RefundIntended
from ledger import commands as c
from ledger.errors import RejectedError
from ledger.payments import commands as p
from tests.support.fake_clock_ledger import SECOND_US, FakeClockLedger
from tests.support.model import Refused, expected_of
from tests.support.model_money import MoneyModel
from tests.unit.projections.verify.invariants.test_log import audited

AMOUNTS = st.integers(1, 4)
PICKS = st.integers(0, 99)
LIVES = st.none() | st.integers(1, 60)
PRICES = st.sampled_from([7, 100, 39_000])


class Refunds(RuleBasedStateMachine):
    """One person after another in the ledger and in the model."""

    def __init__(self) -> None:
        super().__init__()
        self.desk, self.model, self.numbers = FakeClockLedger(), MoneyModel(), itertools.count(1)
        self.account = ""
        self.come(0)

    def name(self, kind: str) -> str:
        return f"{kind}{next(self.numbers)}"

    def come(self, debt: int) -> None:
        self.account = self.name("a")
        self.ask(c.OpenAccount(self.account, "0" * 64, debt=debt))
        self.desk.do(c.AcceptTerms(self.account, "1", 0))

    def ask(self, command: c.Command) -> None:
        """Accepted with the same credits, or refused with the same words."""
        try:
            expected = self.model.apply(command, self.desk.now_us + SECOND_US)
        except Refused as refused:
            with pytest.raises(RejectedError) as rejected:
                self.desk.do(command)
            assert type(rejected.value).__name__ == str(refused)
            return
        made = [event for event in self.desk.do(command) if event.type.startswith("Credits")]
        assert [expected_of(event.type, msgspec.json.decode(event.data)) for event in made] == expected

    @rule(credits=AMOUNTS, price=PRICES, life=LIVES)
    def buy(self, credits: int, price: int, life: int | None) -> None:
        payment = self.name("p")
        terms = ("x", credits, price, "RUB", "1", False, life, "x", "ru")
        self.ask(p.OrderPayment(payment, self.account, "yookassa", *terms))
        self.ask(p.SettlePayment(payment, self.account, "yookassa", payment, price, "RUB", "1", False))

    @rule(amount=AMOUNTS, kind=st.sampled_from(["bonus", "promo"]), life=LIVES)
    def give(self, amount: int, kind: GrantKind, life: int | None) -> None:
        ends_at_us = None if life is None else self.desk.now_us + (life + 1) * SECOND_US
        self.ask(c.GrantCredits(self.account, amount, kind, "x", None, ends_at_us))

    @rule(price=AMOUNTS, jobs=st.integers(1, 2))
    def spend(self, price: int, jobs: int) -> None:
        names = tuple(self.name("j") for _ in range(jobs))
        self.ask(c.OrderVideos(self.account, names[0], names, price, "m", "ugc", "p", "b", "ru", 900))

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICKS)
    def fail_a_job(self, pick: int) -> None:
        job = list(self.model.jobs)[pick % len(self.model.jobs)]
        account = self.model.jobs[job].account
        self.ask(c.FailJob(job, account, "operator", Failure("transient"), refund_life_s=20))

    @rule(amount=AMOUNTS, lot=st.none() | st.integers(1, 4), kind=st.sampled_from(["manual", "fraud"]))
    def take(self, amount: int, lot: int | None, kind: RevokeKind) -> None:
        self.ask(c.RevokeCredits(self.account, amount, "x", kind=kind, lot=lot))

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.desk.wait(seconds)

    @rule()
    def expire(self) -> None:
        self.ask(c.ExpireCredits(self.account))

    def part(self, pick: int, share: int) -> tuple[str, str, int]:
        """Some money's name and account, and a part of it or all that is left."""
        name = list(self.model.money)[pick % len(self.model.money)]
        money = self.model.money[name]
        whole = money.order.amount_minor
        return name, money.order.account, max(whole * share // 4 if share < 4 else whole - money.going, 1)

    @precondition(lambda self: self.model.money)
    @rule(pick=PICKS, share=st.integers(0, 4))
    def intend(self, pick: int, share: int) -> None:
        name, account, amount = self.part(pick, share)
        self.ask(p.IntendRefund(name, account, self.name("r"), name, amount, "login:op", "asked"))

    @precondition(lambda self: self.model.money)
    @rule(pick=PICKS, share=st.integers(0, 4))
    def send_back_in_the_cabinet(self, pick: int, share: int) -> None:
        name, account, amount = self.part(pick, share)
        if not any(
            o.money is self.model.money[name] and o.amount_minor == amount for o in self.model.open.values()
        ):
            self.ask(p.RecordRefund(name, account, "yookassa", name, self.name("g"), amount))

    @precondition(lambda self: self.model.open)
    @rule(pick=PICKS, fails=st.booleans())
    def end_a_refund(self, pick: int, fails: bool) -> None:
        refund = list(self.model.open)[pick % len(self.model.open)]
        intended = self.model.open[refund]
        order = intended.money.order
        if fails:
            self.ask(p.FailRefund(order.payment, order.account, refund, "no", refund_life_s=20))
        else:
            sent, name = intended.amount_minor, order.payment
            self.ask(p.RecordRefund(name, order.account, "yookassa", name, self.name("g"), sent, refund))

    @precondition(lambda self: self.model.money)
    @rule(pick=PICKS, share=st.integers(0, 4))
    def a_refund_that_fails_at_once_changes_nothing(self, pick: int, share: int) -> None:
        name, account, _ = self.part(pick, share)
        self.ask(c.ExpireCredits(account))
        before = self.desk.account(account)
        if any(
            lot.expires_at_us is not None and lot.expires_at_us <= self.desk.now_us + 9 * SECOND_US
            for lot in before.lots
        ):
            return  # it would be over meanwhile
        open_before = set(self.model.open)
        self.intend(pick, share)
        for refund in set(self.model.open) - open_before:
            self.ask(p.FailRefund(name, account, refund, "no"))
        after = self.desk.account(account)
        assert (after.lots, after.debt, after.lost) == (before.lots, before.debt, before.lost)

    @rule()
    def forget_and_return(self) -> None:
        debt = self.model.accounts[self.account].debt
        self.ask(c.ForgetAccount(self.account, "asked", "login:op"))
        if debt:
            self.ask(c.GrantCredits(self.account, debt, "carried", "erased"))
        self.come(debt)

    @invariant()
    def balances_are_sums(self) -> None:
        for name, account in self.model.accounts.items():
            state = self.desk.account(name)
            lots = [(lot.number, lot.amount, lot.kind, lot.ends_at_us) for lot in account.in_draw_order()]
            assert [(x.number, x.amount, x.kind, x.expires_at_us) for x in state.lots] == lots
            assert (state.balance, state.debt) == (account.balance, account.debt)
            assert not (state.debt and state.lots)

    def teardown(self) -> None:
        self.nothing_is_taken_that_is_gone()
        problems, _ = audited(self.desk.events)
        assert [found for found in problems if "went back than came" not in found.message] == []

    def nothing_is_taken_that_is_gone(self) -> None:
        """What refunds of one payment have taken is never more than what of its lot is not gone by then."""
        bought: dict[str, tuple[str, int, int]] = {}
        gone: Counter[tuple[str, int]] = Counter()
        taken: Counter[str] = Counter()
        refunds: dict[str, str] = {}
        for recorded, event in ((recorded, decode(recorded)) for recorded in self.desk.events):
            match event:
                case CreditsGranted(kind="purchase", reference=str(name)):
                    bought[name] = (recorded.stream, event.lot, event.amount)
                case CreditsExpired():
                    gone[recorded.stream, event.lot] += event.amount
                case CreditsRevoked(kind="payment", reference=str(name)):
                    stream, lot, amount = bought[name]
                    taken[name] += event.amount
                    assert taken[name] <= amount - gone[stream, lot]
                case CreditsRevoked():
                    gone.update({(recorded.stream, part.lot): part.amount for part in event.parts})
                case RefundIntended():
                    refunds[event.refund] = f"yookassa:{event.provider_payment}"
                case CreditsRestored():
                    taken[refunds[event.reference]] -= event.amount
        assert all(amount >= 0 for amount in taken.values())


Refunds.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRefunds = Refunds.TestCase
