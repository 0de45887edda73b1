"""Whatever is asked in whatever order, the promises about money and outcomes hold after every command."""

from collections import Counter
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from events.account import (
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    GrantKind,
)
from events.job import (
    FailedBy,
    Failure,
    JobFailed,
    JobStarted,
    JobSucceeded,
    SubmissionFailed,
    SubmissionIntended,
    Video,
    VideoGifted,
)
from ledger import commands as c
from ledger.accounts.lots import draw_order, total
from ledger.accounts.state import AccountState
from ledger.decider import State, decide, evolve, initial, streams_read
from ledger.errors import RejectedError

ACCOUNTS = st.sampled_from(["a", "b"])
JOBS = st.sampled_from(["j1", "j2", "j3"])
NUMBERS = st.integers(1, 3)
FAILURE = Failure("transient")


class Ledger(RuleBasedStateMachine):
    """A ledger without a database: the deciders on top of dictionaries, with time that only grows."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        self.states: dict[str, State] = {}
        self.log: list[tuple[str, object]] = []
        for account in ("a", "b"):
            self.ask(c.OpenAccount(account, "0" * 64))
            self.ask(c.AcceptTerms(account, "1", 2))

    def ask(self, command: c.Command) -> None:
        view = {s: self.states.get(s, initial(s)) for s in streams_read(command)}
        try:
            made = decide(view, command, self.now_us)
        except RejectedError:
            return
        if any(s not in view and s in self.states for s, _ in made):
            return  # the log refuses to create what exists
        for stream, event in made:
            self.states[stream] = evolve(self.states.get(stream, initial(stream)), event)
            self.log.append((stream, event))

    @rule(us=st.integers(1, 400_000))
    def time_passes(self, us: int) -> None:
        self.now_us += us

    @rule(account=ACCOUNTS, jobs=st.lists(JOBS, max_size=3), price=st.integers(0, 2))
    def order(self, account: str, jobs: list[str], price: int) -> None:
        self.ask(c.OrderVideos(account, "o", tuple(jobs), price, "m", "ugc", "p", "b", "ru", 1))

    @rule(
        account=ACCOUNTS,
        amount=st.integers(-1, 3),
        kind=st.sampled_from(["bonus", "purchase"]),
        life=st.none() | st.integers(-1, 900_000),
    )
    def grant(self, account: str, amount: int, kind: GrantKind, life: int | None) -> None:
        ends_at_us = None if life is None else self.now_us + life
        self.ask(c.GrantCredits(account, amount, kind, "test", None, ends_at_us))

    @rule(account=ACCOUNTS, amount=st.integers(1, 3), lot=st.none() | NUMBERS)
    def revoke(self, account: str, amount: int, lot: int | None) -> None:
        self.ask(c.RevokeCredits(account, amount, "test", lot=lot))

    @rule(account=ACCOUNTS)
    def expire(self, account: str) -> None:
        self.ask(c.ExpireCredits(account))

    @rule(job=JOBS, run=NUMBERS)
    def start(self, job: str, run: int) -> None:
        self.ask(c.StartJob(job, run, "w"))
        self.ask(c.RecordPrompt(job, run, "t", "fallback", "v"))

    @rule(job=JOBS, run=NUMBERS, submission=NUMBERS)
    def intend(self, job: str, run: int, submission: int) -> None:
        self.ask(c.IntendSubmission(job, run, submission, "k1", "m"))

    @rule(job=JOBS, submission=NUMBERS, task=st.sampled_from(["t1", "t2"]))
    def accept(self, job: str, submission: int, task: str) -> None:
        self.ask(c.RecordAccepted(job, submission, task))

    @rule(
        job=JOBS,
        account=ACCOUNTS,
        run=NUMBERS,
        submission=NUMBERS,
        wait=st.none() | st.integers(0, 2_000_000),
    )
    def fail_submission(self, job: str, account: str, run: int, submission: int, wait: int | None) -> None:
        retry_at_us = None if wait is None else self.now_us + wait
        self.ask(c.FailSubmission(job, account, run, submission, FAILURE, retry_at_us, refund_life_s=1))

    @rule(job=JOBS, run=NUMBERS)
    def hand_back(self, job: str, run: int) -> None:
        self.ask(c.HandBackJob(job, run))

    @rule(job=JOBS, run=NUMBERS, submission=NUMBERS)
    def succeed(self, job: str, run: int, submission: int) -> None:
        self.ask(c.SucceedJob(job, run, submission, Video("v", "00", 1)))

    @rule(job=JOBS, account=ACCOUNTS, by=st.sampled_from(["worker", "monitor", "operator"]), run=NUMBERS)
    def fail(self, job: str, account: str, by: FailedBy, run: int) -> None:
        self.ask(c.FailJob(job, account, by, FAILURE, run))

    @invariant()
    def one_charge_one_outcome(self) -> None:
        charged = Counter(e.job for _, e in self.log if isinstance(e, CreditsCharged))
        refunded = Counter(e.job for _, e in self.log if isinstance(e, CreditsRefunded))
        ends = Counter(s for s, e in self.log if isinstance(e, JobSucceeded | JobFailed))
        gifts = Counter(s for s, e in self.log if isinstance(e, VideoGifted))
        failed = {s for s, e in self.log if isinstance(e, JobFailed)}
        assert all(n == 1 for counts in (charged, refunded, ends, gifts) for n in counts.values())
        assert {f"job-{job}" for job in refunded} == failed
        assert set(refunded) <= set(charged)
        assert set(gifts) <= failed

    @invariant()
    def balances_follow_from_the_log_and_only_revocations_overdraw(self) -> None:
        for account in ("a", "b"):
            balance = lowest = revoked = 0
            for stream, event in self.log:
                if stream != f"account-{account}":
                    continue
                match event:
                    case CreditsGranted() | CreditsRefunded():
                        balance += event.amount
                    case CreditsCharged():
                        balance -= event.amount
                        assert balance >= 0
                    case CreditsRevoked():
                        balance -= event.amount
                        revoked += event.amount
                    case CreditsExpired():
                        balance -= event.amount
                lowest = min(lowest, balance)
            assert lowest >= -revoked
            assert cast(AccountState, self.states[f"account-{account}"]).balance == balance

    @invariant()
    def lots_are_the_balance(self) -> None:
        for account in ("a", "b"):
            state = cast(AccountState, self.states[f"account-{account}"])
            assert state.balance == total(state.lots) - state.debt
            assert state.debt == 0 or not state.lots
            assert all(lot.amount > 0 for lot in state.lots)
            assert list(state.lots) == sorted(state.lots, key=draw_order)
            assert len({lot.number for lot in state.lots}) == len(state.lots)

    @invariant()
    def every_credit_event_says_which_lots(self) -> None:
        ends: dict[tuple[str, int], int | None] = {}
        for stream, event in self.log:
            match event:
                case CreditsGranted():
                    ends[stream, event.lot] = event.expires_at_us
                case CreditsCharged() | CreditsRefunded():
                    settled = event.settled if isinstance(event, CreditsRefunded) else 0
                    assert sum(part.amount for part in event.parts) + settled == event.amount
                    if isinstance(event, CreditsRefunded):
                        ends |= {(stream, part.lot): part.expires_at_us for part in event.parts}
                    else:
                        assert all(ends[stream, part.lot] == part.expires_at_us for part in event.parts)
                case CreditsExpired():
                    assert ends[stream, event.lot] == event.due_at_us <= self.now_us

    @invariant()
    def never_two_submissions_at_once(self) -> None:
        open_: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        for stream, event in self.log:
            match event:
                case SubmissionIntended():
                    open_[stream] += 1
                    assert event.run == runs[stream]
                case SubmissionFailed():
                    open_[stream] -= 1
                case JobStarted():
                    runs[stream] += 1
                    assert event.run == runs[stream]
            assert open_[stream] in (0, 1)


Ledger.TestCase.settings = settings(max_examples=120, stateful_step_count=40)
TestLedger = Ledger.TestCase
