"""A Hypothesis state machine over the real database: whatever is asked of whoever, the model agrees."""

import asyncio
import itertools
import time
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from events.account import GrantKind
from events.envelope import Cursor
from events.job import Failure
from events.stream_names import account_stream
from ledger import commands as c
from ledger.errors import KeyReusedError, RejectedError
from ledger.log.batch import NOTHING_TO_DO, Receipt
from ledger.log.hash_chain import require_sequence
from projections.engine.runner import Runner
from projections.models.balances import BALANCES
from projections.rebuild.run import rebuild
from tests.support.model import Expected, ModelAccount, Refused, expected_of
from tests.support.model_money import MoneyModel
from tests.support.multi_process_ledger import MultiProcessLedger

NAMES = ("a", "b")
_EXAMPLES = itertools.count(1)

AMOUNTS = st.integers(1, 4)
ACCOUNTS = st.sampled_from(NAMES)
KINDS = st.sampled_from(["manual", "carried"])
LIVES = st.none() | st.integers(-1, 90).map(lambda seconds: seconds * 1_000_000)
CREDITS = st.tuples(st.sampled_from(["grant", "revoke", "order", "refund", "expire"]), ACCOUNTS, AMOUNTS)


class LedgerMachine(RuleBasedStateMachine):
    """Every rule asks the real ledger and the model; every invariant compares the two."""

    def __init__(self, world: MultiProcessLedger) -> None:
        super().__init__()
        self.world, self.run, self.ledger = world, world.run, world.ledger
        self.prefix = f"x{next(_EXAMPLES)}"
        self.numbers = itertools.count(1)
        self.model = MoneyModel()
        self.now_us = world.now_us()
        self.done: dict[str, tuple[c.Command, Receipt]] = {}
        self.cursor: Cursor = self.run(self.ledger.read.head())
        for name in NAMES:
            account = self.name(name)
            self.run(self.ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}"))
            self.run(self.ledger.execute(c.AcceptTerms(account, "1", 0), key=f"terms:{account}"))
            self.model.accounts[account] = ModelAccount()

    # What is asked

    def name(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def key(self) -> str:
        return f"{self.prefix}-{next(self.numbers)}"

    def command(self, what: str, name: str, amount: int) -> c.Command:
        account = self.name(name)
        match what:
            case "grant":
                return c.GrantCredits(account, amount, "manual", "x", None, self.now_us + amount * 10_000_000)
            case "revoke":
                return c.RevokeCredits(account, amount, "x")
            case "expire":
                return c.ExpireCredits(account)
            case "refund":
                return self.refund_of(amount)
            case _:
                return self.order_of(account, 1 + amount % 2, 1 + amount // 2)

    def order_of(self, account: str, jobs: int, price: int) -> c.OrderVideos:
        names = tuple(f"{self.prefix}j{next(self.numbers)}" for _ in range(jobs))
        return c.OrderVideos(account, names[0], names, price, "m", "ugc", "p", "b", "ru", 900)

    def refund_of(self, pick: int) -> c.FailJob:
        jobs = list(self.model.jobs) or ["none"]
        job = jobs[pick % len(jobs)]
        account = self.model.jobs[job].account if job in self.model.jobs else self.name("a")
        return c.FailJob(job, account, "operator", Failure("transient"), refund_life_s=30)

    # Rules: one at a time

    @rule(name=ACCOUNTS, amount=AMOUNTS, kind=KINDS, life=LIVES)
    def grant(self, name: str, amount: int, kind: GrantKind, life: int | None) -> None:
        ends_at_us = None if life is None else self.now_us + life
        self.ask(c.GrantCredits(self.name(name), amount, kind, "x", None, ends_at_us))

    @rule(name=ACCOUNTS, jobs=st.integers(1, 3), price=st.integers(1, 3))
    def order(self, name: str, jobs: int, price: int) -> None:
        self.ask(self.order_of(self.name(name), jobs, price))

    @rule(pick=st.integers(0, 9))
    def refund(self, pick: int) -> None:
        self.ask(self.refund_of(pick))

    @rule(name=ACCOUNTS, amount=AMOUNTS, lot=st.none() | st.integers(1, 3))
    def revoke(self, name: str, amount: int, lot: int | None) -> None:
        self.ask(c.RevokeCredits(self.name(name), amount, "x", lot=lot))

    @rule(name=ACCOUNTS)
    def expire(self, name: str) -> None:
        self.ask(c.ExpireCredits(self.name(name)))

    @rule(us=st.sampled_from([5_000_001, 5_999_999, 10_000_000, 60_000_000]))
    def time_passes(self, us: int) -> None:
        """By more than the age that a decision may have, as the clocks of the processes stand still."""
        self.world.turn(us)
        self.now_us += us

    @rule(pick=st.integers(0, 99))
    def ask_again(self, pick: int) -> None:
        if self.done:
            key = list(self.done)[pick % len(self.done)]
            command, receipt = self.done[key]
            answer = self.run(self.answer(command, key))
            assert answer == receipt, (key, command, answer)

    @rule(pick=st.integers(0, 99))
    def ask_something_else_under_the_same_key(self, pick: int) -> None:
        if self.done:
            key = list(self.done)[pick % len(self.done)]
            other = c.GrantCredits(self.name("a"), 999, "manual", "something else")
            assert isinstance(self.run(self.answer(other, key)), KeyReusedError)

    @rule()
    def rebuild_the_balances(self) -> None:
        self.catch_up()
        self.run(rebuild(self.world.url, "balances"))

    # Rules: many at once, and killed in the middle

    @rule(many=st.lists(CREDITS, min_size=2, max_size=8))
    def at_once_from_three_processes(self, many: list[tuple[str, str, int]]) -> None:
        asked = [(self.command(*one), self.key()) for one in many]
        for number, writer in enumerate(self.world.writers):
            writer.ask(asked[number::3])
        ours = asked[2::3]
        answers = self.run(self.answer_all(ours))
        for number, writer in enumerate(self.world.writers):
            answers |= dict(writer.answers(len(asked[number::3])))
        self.settle(asked, answers)

    @rule(many=st.lists(CREDITS, min_size=1, max_size=8), after_ms=st.integers(0, 12))
    def killed_in_the_middle_and_asked_again_elsewhere(
        self, many: list[tuple[str, str, int]], after_ms: int
    ) -> None:
        asked = [(self.command(*one), self.key()) for one in many]
        writer = self.world.writers[0]
        writer.ask(asked)
        time.sleep(after_ms / 1000)  # not a wait: the moment of death is what is varied
        writer.kill()
        answers: dict[str, Any] = dict(writer.answers(len(asked)))
        writer.start()
        unknown = [(command, key) for command, key in asked if key not in answers]
        self.settle(asked, answers | self.run(self.answer_all(unknown)))

    # How answers are compared

    async def answer(self, command: c.Command, key: str) -> Receipt | Exception:
        try:
            return await self.ledger.execute(command, key=key)
        except (RejectedError, KeyReusedError) as error:
            return error

    async def answer_all(self, asked: list[tuple[c.Command, str]]) -> dict[str, Any]:
        answers = await asyncio.gather(*(self.answer(command, key) for command, key in asked))
        named = [a if isinstance(a, Receipt) else type(a).__name__ for a in answers]
        return dict(zip((key for _, key in asked), named, strict=True))

    def ask(self, command: c.Command) -> None:
        """One command alone: accepted and refused exactly as the model says."""
        key = self.key()
        answer = self.run(self.answer(command, key))
        try:
            expected = self.model.apply(command, self.now_us)
        except Refused as refused:
            assert type(answer).__name__ == str(refused), (command, answer)
            return
        assert isinstance(answer, Receipt), (command, answer)
        self.compare(command, key, answer, expected)

    def settle(self, asked: list[tuple[c.Command, str]], answers: dict[str, Any]) -> None:
        """Commands that raced: the model takes the accepted ones in the log's order."""
        accepted = [
            (answers[key], command, key) for command, key in asked if isinstance(answers[key], Receipt)
        ]
        for receipt, command, key in sorted(accepted, key=lambda one: one[0].position):
            if receipt != NOTHING_TO_DO:
                self.compare(command, key, receipt, self.model.apply(command, self.now_us))
        refused = {answer for answer in answers.values() if isinstance(answer, str)}
        assert refused <= {
            "InsufficientCreditsError",
            "JobFinishedError",
            "JobNotFoundError",
            "RefundTooLargeError",
        }

    def compare(self, command: c.Command, key: str, receipt: Receipt, expected: list[Expected]) -> None:
        """The log holds what the model expects, where the receipt says."""
        if receipt == NOTHING_TO_DO:
            assert expected == []
            return
        self.done[key] = (command, receipt)
        events = self.run(self.ledger.read.events_after(receipt.position - 1, receipt.events))
        assert events[0].key == key
        assert {event.recorded_at_us for event in events} == {self.now_us}
        credits = [event for event in events if event.type.startswith("Credits")]
        assert [expected_of(e.type, msgspec.json.decode(e.data)) for e in credits] == expected

    # What always holds

    def catch_up(self) -> None:
        runner = Runner(self.world.pool, BALANCES)
        while events := self.run(self.ledger.read.events_after(self.run(runner.cursor()).position)):
            self.run(runner.apply(events))

    @invariant()
    def dense_and_chained(self) -> None:
        if events := self.run(self.ledger.read.events_after(self.cursor.position)):
            require_sequence(self.cursor, events)
            self.cursor = events[-1].cursor
        assert self.run(self.ledger.read.head()) == self.cursor

    @invariant()
    def lots_and_balances_are_the_models(self) -> None:
        self.catch_up()
        rows = self.run(
            self.world.pool.fetch("SELECT * FROM balances WHERE account LIKE $1", f"{self.prefix}%")
        )
        shown = {row["account"]: row for row in rows}
        for name, account in self.model.accounts.items():
            lots = [[lot.number, lot.amount, lot.kind, lot.ends_at_us] for lot in account.in_draw_order()]
            row = shown[name]
            live = msgspec.json.decode(row["lots"])
            assert [[x["number"], x["amount"], x["kind"], x["expires_at_us"]] for x in live] == lots
            assert (row["balance"], row["debt"], row["lots_made"]) == (
                account.balance,
                account.debt,
                account.made,
            )
            assert account.debt == 0 or not lots
            stream = self.run(self.ledger.read.stream(account_stream(name)))
            assert [event.version for event in stream] == list(range(1, len(stream) + 1))

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        assert (
            self.run(self.world.pool.fetchval("SELECT coalesce(sum(balance), 0) FROM audit.trial_balance"))
            == 0
        )
