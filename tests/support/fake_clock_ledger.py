"""The ledger's rules on a clock of one's own, in memory: makes valid logs in which days pass at once."""

import random
from collections.abc import Iterable, Sequence

import asyncpg

from events.account import GrantKind
from events.envelope import Recorded
from events.job import Failure, Video
from events.stream_names import account_stream
from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.decider import State, decide, evolve, initial, streams_read
from ledger.errors import RejectedError
from ledger.payments import commands as p
from tests.support.history import History

SECOND_US = 1_000_000
DAY_US = 24 * 3600 * SECOND_US
COLUMNS = (
    "position", "stream", "version", "type", "data", "key", "body_hash", "command_events", "writer",
    "recorded_at_us", "hash",
)  # fmt: skip
ACCOUNTS = ("a", "b", "c")
START_US = 1_790_000_000 * SECOND_US


class FakeClockLedger:
    """Takes commands as the ledger does; `now_us` is its clock and goes on by a second per command."""

    def __init__(self) -> None:
        self.history = History()
        self.history.now_us = START_US
        self._states: dict[str, State] = {}

    @property
    def now_us(self) -> int:
        return self.history.now_us

    @property
    def events(self) -> list[Recorded]:
        return self.history.events

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.history.now_us += int(seconds * SECOND_US)

    def do(self, command: c.Command, key: str | None = None) -> list[Recorded]:
        """The events of an accepted command. Raises RejectedError."""
        view = {stream: self._state(stream) for stream in streams_read(command)}
        made = decide(view, command, self.now_us + SECOND_US)
        for stream, event in made:
            self._states[stream] = evolve(self._state(stream), event)
        return self.history.record(*made, key=key) if made else []

    def open(self, account: str, credits: int = 0) -> None:
        """An account that may order, with a welcome bonus."""
        self.do(c.OpenAccount(account, "0" * 64))
        self.do(c.AcceptTerms(account, "1", credits))

    def order(self, account: str, name: str, *jobs: str, price: int = 1) -> list[Recorded]:
        """Charge and queue jobs, named after the order unless they are given."""
        jobs = jobs or (f"{name}-1",)
        ordered = c.OrderVideos(account, name, jobs, price, "m", "ugc", "p", "b", "ru", 900)
        return self.do(ordered, f"order:{name}")

    def submit(self, job: str) -> None:
        """Begin a job and hand it to the provider."""
        self.do(c.StartJob(job, 1, "w1"))
        self.do(c.RecordPrompt(job, 1, "prompt", "openai", "t"))
        self.do(c.IntendSubmission(job, 1, 1, "key-1", "m"))
        self.do(c.RecordAccepted(job, 1, f"task-{job}"))

    def succeed(self, job: str) -> None:
        """The submitted job's video."""
        self.do(c.SucceedJob(job, 1, 1, Video(f"videos/{job}.mp4", "0" * 64, 9)))

    def fail(self, account: str, job: str) -> list[Recorded]:
        """Fail and refund."""
        return self.do(c.FailJob(job, account, "operator", Failure("transient")))

    def account(self, account: str) -> AccountState:
        """As it stands."""
        state = self._state(account_stream(account))
        assert isinstance(state, AccountState)
        return state

    def _state(self, stream: str) -> State:
        return self._states.get(stream) or initial(stream)


def random_ledger(seed: int, steps: int = 120) -> FakeClockLedger:
    """Grants that expire or do not, payments, orders, failures, videos, revocations, and days that pass."""
    chance, desk = random.Random(seed), FakeClockLedger()
    open_jobs: list[tuple[str, str]] = []
    for account in ACCOUNTS:
        desk.open(account, 2)
    for step in range(steps):
        account = chance.choice(ACCOUNTS)
        try:
            match chance.choice(
                ("grant", "grant", "order", "order", "order", "end", "end", "revoke", "wait", "pay")
            ):
                case "grant":
                    kinds: tuple[GrantKind, ...] = ("purchase", "bonus", "promo", "referral")
                    kind = chance.choice(kinds)
                    life = chance.choice((None, desk.now_us + chance.randrange(1, 10) * DAY_US))
                    life = None if kind == "purchase" else life
                    desk.do(c.GrantCredits(account, chance.randrange(1, 9), kind, "r", f"p{step}", life))
                case "order":
                    jobs = [f"j{step}-{n}" for n in range(chance.randrange(1, 4))]
                    desk.order(account, f"o{step}", *jobs, price=chance.randrange(1, 4))
                    open_jobs += [(account, job) for job in jobs]
                case "end" if open_jobs:
                    payer, job = open_jobs.pop(chance.randrange(len(open_jobs)))
                    if chance.random() < 0.5:
                        desk.fail(payer, job)
                    else:
                        desk.submit(job)
                        desk.succeed(job)
                case "pay":
                    _pay(desk, chance, account, f"pay{step}")
                case "revoke":
                    desk.do(
                        c.RevokeCredits(account, chance.randrange(1, 12), "r", f"p{step}", kind="payment")
                    )
                case _:
                    desk.wait(chance.randrange(1, 4) * 24 * 3600 / 2)
        except RejectedError:
            continue
    return desk


def _pay(desk: FakeClockLedger, chance: random.Random, account: str, payment: str) -> None:
    """A payment that is given up, flagged, or comes, maybe goes back in parts, and maybe comes twice."""
    credits, price = chance.choice(((5, 39_000), (10, 69_000), (3, 100)))
    terms = ("package", credits, price, "RUB", "1", False, chance.choice((None, 86_400)), "videos", "ru")
    desk.do(p.OrderPayment(payment, account, "yookassa", *terms))
    if chance.random() < 0.2:
        desk.do(p.ExpirePayment(payment, "no answer for 7 days"))
    for number in range(chance.choice((0, 1, 1, 1, 2))):
        name, paid = f"{payment}-{number}", price + (chance.random() < 0.1)
        desk.do(p.SettlePayment(payment, account, "yookassa", name, paid, "RUB", "1", False))
        if chance.random() < 0.5:
            part = chance.randrange(1, price)
            refund = f"r-{name}"
            desk.do(p.IntendRefund(payment, account, refund, name, part, "login:op", "asked"))
            if chance.random() < 0.5:
                desk.do(p.FailRefund(payment, account, refund, "insufficient_funds"))
            rest = chance.choice((part, price - part))
            desk.do(p.RecordRefund(payment, account, "yookassa", name, f"g-{name}", rest))


async def store(url: str, events: Iterable[Recorded]) -> None:
    """Write the rows as they are, as the owner."""
    rows = [
        (
            e.position, e.stream, e.version, e.type, e.data, e.key, e.body_hash, e.command_events,
            e.writer, e.recorded_at_us, e.hash,
        )
        for e in events
    ]  # fmt: skip
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table("events", records=rows, columns=COLUMNS)
    finally:
        await connection.close()


def positions(events: Sequence[Recorded], type_name: str) -> list[int]:
    """Where events of a type stand."""
    return [event.position for event in events if event.type == type_name]
