"""Invariants of credits and jobs, checked row by row. Pure.

Independent of the deciders on purpose: this tells when they are wrong. Finished jobs are forgotten to keep
memory flat; later rows of them go to `late`, to be judged with their history.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from events.account import (
    ChangeEvent,
    CreditsCharged,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
)
from events.stream_names import ACCOUNT, JOB, PAYMENT, PROMO, SYSTEM
from projections.verify.event_fields import (
    MOVES,
    OF_ACCOUNTS,
    OF_JOBS,
    OF_PAYMENTS,
    OF_PROMOS,
    OF_SYSTEM,
    READ,
    SAID,
    SPENT,
    Row,
    broken_command,
    misplaced,
    read,
    wrong_version,
)
from projections.verify.findings import Findings
from projections.verify.invariants import log_time, lots
from projections.verify.invariants.jobs import Jobs
from projections.verify.invariants.lots import Account, Snapshot
from projections.verify.invariants.payments import Payments
from projections.verify.invariants.proposals import Proposals

_STRANGERS_MAX = 10_000


class Rules:
    """Walk the log through `add`, then `finish`. `after` precedes the first row."""

    def __init__(self, findings: Findings, *, after: int = 0) -> None:
        self._findings = findings
        self.jobs = Jobs(findings)
        self.accounts: dict[str, Account] = {}
        self.payments = Payments(findings, self.accounts, whole=not after)
        self.proposals = Proposals()
        self.books: dict[str, int] = {}
        self.others: dict[str, int] = {}
        self.late: list[Row] = []
        self.snapshots: dict[str, Snapshot] = {}
        self.decided_us: Mapping[int, int] = {}
        self.position = after
        self._command_left = 0
        self._time_us = 0
        self._partial = after > 0
        self.opening = 0

    def add(self, rows: Iterable[Row]) -> None:
        position, left, now_us = self.position, self._command_left, self._time_us
        say, jobs, by_stream = self._findings.add, self.jobs, self.jobs.by_stream
        payments, due = self.payments, self.payments.due
        for row in rows:
            at, stream, version, name, count, time_us, _ = row
            position += 1
            if at != position:
                say("sequence", at, f"position {at} stands where {position} should")
            position = at
            if (count is None) != (left > 0):
                broken_command(self._findings, at, left)
            if count is not None:
                left = count
                payments.whole = True
                if due:
                    payments.command_over()
            elif time_us != now_us:
                say("command", at, f"position {at} has another time than its command")
            if name == "ClockCorrected":
                log_time.corrected(row, now_us, self._findings)
            elif time_us < now_us:
                say("command", at, f"time went back by {(now_us - time_us) / 1e6:g} s at position {at}")
            now_us = time_us
            left = left - 1 if left else 0
            job = by_stream.get(stream)
            if job is not None:
                job.version += 1
                if job.version != version:
                    wrong_version(self._findings, at, stream, version, job.version)
                    job.version = version
                if name in SAID:
                    read(row, self._findings)
                if name in MOVES:
                    jobs.moved(row)
                elif name not in OF_JOBS:
                    misplaced(self._findings, row)
            elif stream.startswith(ACCOUNT):
                self._account_moved(row)
            elif stream.startswith(PAYMENT):
                self._payment_moved(row)
            else:
                self._stranger(row)
        self.position, self._command_left, self._time_us = position, left, now_us

    def resume(self, command_left: int, time_us: int) -> None:
        """Before the first row: rest of its command, and the time."""
        self._command_left, self._time_us = command_left, time_us

    def load_accounts(self, history: Iterable[Row]) -> None:
        past = Rules(Findings())
        for row in history:
            past._account_moved(row)
        self.accounts |= past.accounts
        self.proposals.open |= past.proposals.open
        self.opening += sum(account.balance for account in past.accounts.values())

    def load_payments(self, history: Iterable[Row]) -> None:
        past = Rules(Findings())
        for row in history:
            past._payment_moved(row)
        self.payments.take_over(past.payments)

    def finish(self) -> None:
        say = self._findings.add
        if self._command_left:
            say("command", self.position, f"{self._command_left} events of the last command are missing")
        if self.proposals.due is not None:
            say("approval", None, f"change {self.proposals.due.change} was approved and not made")
        self.jobs.finish()
        self.payments.command_over()
        held = sum(account.balance for account in self.accounts.values()) - self.opening
        if total := sum(self.books.values()) + held:
            say("books", None, f"the books sum to {total}, not to zero")
        for account, balance in sorted(self.books.items()) if not self._partial else ():
            if account.startswith("issued:") == (balance > 0) and balance:
                say("books", None, f"{account} holds {balance} credits, which is on the wrong side")
        spent = self.books.get(SPENT, 0)
        if spent != self.jobs.spent:
            say("books", None, f"{spent} credits are booked as spent, jobs account for {self.jobs.spent}")

    def _account_moved(self, row: Row) -> None:
        self._apply(row)
        snapshot = self.snapshots.get(row[1])
        if snapshot is not None and snapshot.version == row[2]:
            lots.compare(row[1], self.accounts[row[1]], snapshot, self._findings)

    def _apply(self, row: Row) -> None:
        at, stream, version, name, *_ = row
        account = self.accounts.get(stream) or self.accounts.setdefault(stream, Account())
        account.version += 1
        if version != account.version:
            wrong_version(self._findings, at, stream, version, account.version)
            account.version = version
        if name not in OF_ACCOUNTS or name not in READ:
            account.opened = account.opened or name == "AccountOpened"
            account.locked = account.locked or name == "AccountForgotten"
            if name not in OF_ACCOUNTS:
                misplaced(self._findings, row)
            return
        event = read(row, self._findings)
        if event is None:
            return
        if not account.opened:
            self._findings.add("stream", at, f"{name} at position {at} comes before {stream} was opened")
            account.opened = True
        if self.proposals.due is not None or isinstance(event, ChangeEvent):
            decided_us = self.decided_us.get(at, row[5])
            if wrong := self.proposals.judge(stream, event, decided_us, begins=row[4] is not None):
                self._findings.add("approval", at, f"{name} of {stream} at position {at}: {wrong}")
            if isinstance(event, ChangeEvent):
                return
        if wrong := self._credits_moved(row, account, event):
            self._findings.add("lots", at, f"{name} of {stream} at position {at}: {wrong}")
        if account.debt and account.lots:
            message = f"{stream} owes {account.debt} credits at position {at} while lots hold some"
            self._findings.add("lots", at, message)

    def _credits_moved(self, row: Row, account: Account, event: Any) -> str:
        at, stream, _, _, _, time_us, _ = row
        now_us = self.decided_us.get(at, time_us)
        owner, amount = stream[len(ACCOUNT) :], event.amount
        if amount <= 0:
            return f"{amount} credits are no amount"
        match event:
            case CreditsCharged():
                wrong = lots.charged(account, amount, event.parts, now_us)
                if account.debt and (left := account.balance) < 0:
                    message = f"{stream} was charged {amount} credits down to {left}"
                    self._findings.add("overdraft", at, message)
                if account.locked:
                    self._findings.add("charge", at, f"{stream} was charged after it was forgotten")
                self._post(SPENT, amount)
                self.jobs.charged(at, owner, event)
            case CreditsRefunded():
                job = self.jobs.by_stream.get(JOB + event.job)
                wrong = lots.refunded(account, event, () if job is None else job.parts, now_us)
                self._post(SPENT, -amount)
                if job is None:
                    self.late.append(row)
                else:
                    self.jobs.refunded(at, owner, event)
            case CreditsGranted():
                wrong = lots.granted(account, event)
                if event.kind == "purchase" and event.reference is not None:
                    self.payments.granted(at, stream, event)
                self._post(f"issued:{event.kind}", -amount)
            case CreditsRevoked():
                wrong = lots.revoked(account, event, now_us)
                if event.kind == "payment" and event.reference is not None:
                    self.payments.revoked(at, stream, event)
                else:
                    lots.lose(account, event.parts)
                self._post(f"revoked:{event.kind}", amount)
            case CreditsRestored():
                wrong = lots.restored(account, event, now_us)
                self.payments.restored(at, stream, event)
                self._post("revoked:payment", -amount)
            case _:
                wrong = lots.expired(account, event, now_us)
                self._post(f"expired:{event.kind}", amount)
        return wrong

    def _post(self, name: str, amount: int) -> None:
        self.books[name] = self.books.get(name, 0) + amount

    def _payment_moved(self, row: Row) -> None:
        at, stream, version, name, *_ = row
        event = None
        if name not in OF_PAYMENTS:
            misplaced(self._findings, row)
        elif name in READ:
            event = read(row, self._findings)
            if event is None:
                return
        self.payments.moved(at, stream, version, event)

    def _stranger(self, row: Row) -> None:
        """Row of a finished or unknown job, or of an unknown kind."""
        at, stream, version, name, *_ = row
        if stream.startswith(JOB):
            if version == 1 and name == "JobQueued" and self.jobs.queued_free(row):
                return
            self.late.append(row)
            if name == "JobRequeued":
                self.jobs.requeued(row)
        kinds = ((JOB, OF_JOBS), (PROMO, OF_PROMOS), (SYSTEM, OF_SYSTEM))
        if not any(name in names for prefix, names in kinds if stream.startswith(prefix)):
            misplaced(self._findings, row)
        if not stream.startswith(JOB) and len(self.others) < _STRANGERS_MAX:
            before = version - 1 if self._partial else 0  # of what was before the walk nothing is known here
            expected = self.others[stream] = self.others.get(stream, before) + 1
            if version != expected:
                wrong_version(self._findings, at, stream, version, expected)
                self.others[stream] = version
