"""Verdict of demo, drills and chaos tests: every credit, job and message accounted for.

LogWatch.settle ──▶ collect ──▶ judge     wait for rest, ask everybody once; pure: evidence in, checks out
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from events.account import CreditsCharged
from events.codec import decode
from events.envelope import Recorded
from events.job import JobFailed, JobQueued, SubmissionFailed, SubmissionIntended
from events.stream_names import job_of
from projections.verify.findings import CHAIN_KINDS, Kind
from projections.verify.findings import Problem as Finding
from projections.verify.run import check_ledger
from services.rehearsal.chat_client import Message, Sandbox, TaskSeen
from services.rehearsal.log_watch import LogWatch, timeline
from services.rehearsal.seller import finals
from services.streams.compare import check_streams

GRACE_S: Final = 60.0
"""What is promised after a deadline: within it a seller has heard, and all has come to rest."""
FINISHED: Final = "Your order is finished"
LOST_ANSWERS: Final = ("drop_after", "hang_after")
"""Faults of Telegram after which a send has happened and nobody knows."""
UNANSWERED: Final = (*LOST_ANSWERS, "drop_before", "hang")
"""Those after which nobody knows whether it has."""
SENDS: Final = ("sendVideo", "sendMessage", "sendAnimation")
ENDINGS: Final = ("JobSucceeded", "JobFailed")
OWED_FOR: Final = {"JobSucceeded": "video", "JobFailed": "failure", "VideoGifted": "gift"}


class Customer(msgspec.Struct, frozen=True):
    """A seller by chat. Known beside the log: the credits `given`, the balance `shown` in the chat."""

    chat: int
    given: int | None = None
    shown: int | None = None


class Order(msgspec.Struct, frozen=True):
    order: str
    chat: int
    jobs: tuple[str, ...]
    status_message: int | None


class Delivery(msgspec.Struct, frozen=True):
    job: str
    kind: str
    state: str
    message_id: int | None
    last_error: str | None = None


class Evidence(msgspec.Struct):
    """Evidence for the verdict.

    By chat: `accounts`, `chats` (what the bot said), and counts of sends that met a fault: `lost` happened
    and were not answered, `unanswered` are all that were not; `blocked` once were. By account: the balances
    `logged` and `projected`. `findings` is what the ledger's own verification and the comparison with the
    streams have found. `may_double`: a send may have been cut off by its sender's end.
    """

    customers: Sequence[Customer]
    accounts: dict[int, str]
    orders: list[Order]
    events: list[Recorded]
    tasks: list[TaskSeen]
    chats: dict[int, list[Message]]
    deliveries: list[Delivery]
    lost: Counter[int]
    unanswered: Counter[int]
    blocked: set[int]
    logged: dict[str, int]
    projected: dict[str, int]
    findings: list[Finding]
    left_open: list[str]
    may_double: bool = False

    def stories(self) -> dict[str, list[Recorded]]:
        found: dict[str, list[Recorded]] = defaultdict(list)
        for event in self.events:
            if job := job_of(event.stream):
                found[job].append(event)
        return found

    def message(self, chat: int, message_id: int | None) -> Message | None:
        return next((m for m in self.chats[chat] if m["message_id"] == message_id), None)

    def finals(self, order: Order) -> list[Message]:
        return finals(self.chats[order.chat], order.order, order.status_message)


class Problem(msgspec.Struct, frozen=True):
    """`job` is empty when it is about none in particular."""

    what: str
    job: str = ""

    def __str__(self) -> str:
        return f"job {self.job}: {self.what}" if self.job else self.what


class Check(msgspec.Struct, frozen=True):
    """One promise and what was found against it; empty `problems`: it was kept."""

    name: str
    problems: list[Problem]


def judge(evidence: Evidence) -> list[Check]:
    checks = []
    for name, promise in CHECKS.items():
        found = [
            Problem(p.message + ("" if p.position is None else f" (position {p.position})"))
            for p in evidence.findings
            if p.kind in promise.kinds
        ]
        checks.append(Check(name, [*(promise.find(evidence) if promise.find else ()), *found]))
    return checks


def _rest(evidence: Evidence) -> Iterator[Problem]:
    yield from map(Problem, evidence.left_open)


def _outcomes(evidence: Evidence) -> Iterator[Problem]:
    """A plain count: each job charged once, one video or one refund; both only as a gift after a timeout."""
    stories = evidence.stories()
    transfers = Counter(
        (row.type, msgspec.json.decode(row.data).get("job"))
        for row in evidence.events
        if row.type in ("CreditsCharged", "CreditsRefunded")
    )
    for job in _jobs(evidence):
        seen = Counter(row.type for row in stories[job])
        charges, refunds = transfers["CreditsCharged", job], transfers["CreditsRefunded", job]
        if charges != 1:
            yield Problem(f"charged {charges} times", job)
        if sum(seen[ending] for ending in ENDINGS) != 1:
            yield Problem(f"{seen['JobSucceeded']} videos and {seen['JobFailed']} failures", job)
        if refunds != seen["JobFailed"]:
            yield Problem(f"{seen['JobFailed']} failures and {refunds} refunds", job)
        reason = _failure_class(stories[job])
        if seen["VideoGifted"] and (seen["VideoGifted"] > 1 or reason != "timeout"):
            yield Problem(f"{seen['VideoGifted']} gifts after {reason}", job)


def submissions(evidence: Evidence) -> Iterator[Problem]:
    """One task per announced submission at most; a second only after failure."""
    intended: dict[str, set[int]] = defaultdict(set)
    failed: dict[str, set[int]] = defaultdict(set)
    for row in evidence.events:
        if row.type not in ("SubmissionIntended", "SubmissionFailed"):
            continue
        event, job = decode(row), job_of(row.stream) or ""
        if isinstance(event, SubmissionIntended):
            missing = (intended[job] | set(range(1, event.submission))) - failed[job]
            if missing:
                yield Problem(f"submission {event.submission} while {sorted(missing)} was open", job)
            intended[job].add(event.submission)
        elif isinstance(event, SubmissionFailed):
            failed[job].add(event.submission)
    for (job, number), count in Counter((task.job, task.submission) for task in evidence.tasks).items():
        if count > 1:
            yield Problem(f"the provider made {count} tasks of submission {number}", job)
        if number not in intended[job]:
            yield Problem(f"submission {number} reached the provider unannounced", job)


def _messages(evidence: Evidence) -> Iterator[Problem]:
    """One final message per job; two with a gift, more after lost answers."""
    stories, extra = evidence.stories(), Counter[int]()
    for order in evidence.orders:
        ends = {message["message_id"] for message in evidence.finals(order)}
        owed = [row for row in evidence.deliveries if row.job in order.jobs]
        sent = [row.message_id for row in owed if row.state == "sent"]
        if len(set(sent)) != len(sent) or not ends.issuperset(sent):
            yield Problem(f"sent were {sent}, the chat has {sorted(ends)}", order.jobs[0])
        gifts = sum(row.type == "VideoGifted" for job in order.jobs for row in stories[job])
        if len(ends) < (wanted := len(order.jobs) + gifts - (len(owed) - len(sent))):
            yield Problem(f"{len(ends)} final messages of order {order.order}, not {wanted}", order.jobs[0])
        extra[order.chat] += len(ends) - len(sent)
    for chat, count in extra.items():
        if count > (lost := evidence.lost[chat]) and not evidence.may_double:
            yield Problem(f"{count} final messages too many in chat {chat}, {lost} answers were lost")


def _deliveries(evidence: Evidence) -> Iterator[Problem]:
    """Each outcome owes one message; a doubtful one is told by the status message."""
    stories = evidence.stories()
    for order in evidence.orders:
        owed = [row for row in evidence.deliveries if row.job in order.jobs]
        for job in order.jobs:
            expected = sorted(OWED_FOR[row.type] for row in stories[job] if row.type in OWED_FOR)
            found = sorted(row.kind for row in owed if row.job == job)
            if expected != found:
                yield Problem(f"owed are {found} instead of {expected}", job)
        status = evidence.message(order.chat, order.status_message)
        told = evidence.unanswered[order.chat] >= 2 and FINISHED in _words(status)
        for row in owed:
            if row.state != "sent" and order.chat not in evidence.blocked and not told:
                yield Problem(f"the {row.kind} is {row.state}: {row.last_error}", row.job)


def _waits(evidence: Evidence) -> Iterator[Problem]:
    stories = evidence.stories()
    for order in evidence.orders:
        for job in order.jobs:
            queued = next((decode(row) for row in stories[job] if row.type == "JobQueued"), None)
            if not isinstance(queued, JobQueued):
                continue  # which another check has found
            deadline_s = queued.deadline_at_us / 1e6
            ended = [row.recorded_at_us / 1e6 for row in stories[job] if row.type in ENDINGS]
            rows = [row for row in evidence.deliveries if row.job == job and row.kind != "gift"]
            shown = [evidence.message(order.chat, row.message_id) for row in rows]
            told = [float(message["date"]) for message in shown if message is not None]
            for what, times in (("its outcome", ended), ("its message", told)):
                if times and max(times) > deadline_s + GRACE_S:
                    yield Problem(f"{what} came {max(times) - deadline_s:.1f} s after the deadline", job)


def _balances(evidence: Evidence) -> Iterator[Problem]:
    """Log, projection, chat, and a plain count of credits and videos agree."""
    made = {job_of(row.stream) for row in evidence.events if row.type == "JobSucceeded"}
    prices = {
        event.job: event.amount
        for row in evidence.events
        if row.type == "CreditsCharged" and isinstance(event := decode(row), CreditsCharged)
    }
    for customer in evidence.customers:
        account = evidence.accounts.get(customer.chat, "")
        said: dict[str, int | None] = {
            "log": evidence.logged.get(account),
            "projection": evidence.projected.get(account),
        }
        if customer.shown is not None:
            said["chat"] = customer.shown
        if customer.given is not None:
            jobs = {job for order in evidence.orders if order.chat == customer.chat for job in order.jobs}
            said["given and used"] = customer.given - sum(prices.get(job, 0) for job in jobs & made)
        if len(set(said.values())) > 1:
            words = ", ".join(f"{who} {balance}" for who, balance in said.items())
            yield Problem(f"seller {customer.chat}: {words}")


class Promise(NamedTuple):
    find: Callable[[Evidence], Iterator[Problem]] | None = None
    kinds: tuple[Kind, ...] = ()


CHECKS: Final = {
    "everything came to rest": Promise(_rest),
    "one charge, one outcome": Promise(_outcomes, ("charge", "outcome", "open_jobs")),
    "no second submission without a failed first": Promise(submissions),
    "one final message per job": Promise(_messages),
    "each outcome was told": Promise(_deliveries, ("delivery", "blob")),
    "nobody waited longer than promised": Promise(_waits),
    "log, projection, chat and a plain count agree on balances": Promise(_balances),
    "books sum to zero, nothing overdrawn": Promise(kinds=("books", "overdraft", "lots")),
    "gifts once each, from what gives them": Promise(kinds=("gift",)),
    "credits are what was paid, or approved": Promise(kinds=("payment", "approval")),
    "the chain holds": Promise(
        kinds=(*CHAIN_KINDS, "stream", "command", "clock", "unreadable", "guard", "person")
    ),
    "read models are what the log says": Promise(kinds=("projection", "cursor", "snapshot", "checkpoint")),
    "streams and log agree": Promise(kinds=("streams",)),
}


async def collect(
    watch: LogWatch, sandbox: Sandbox, customers: Sequence[Customer], left_open: list[str], *,
    screens: Collection[str] = (),
) -> Evidence:  # fmt: skip
    """Gather evidence. `left_open`: findings of `settle`; sends of the texts `screens` end no job."""
    pool, ids = watch.pool, [customer.chat for customer in customers]
    chats = {}
    for chat in map(sandbox.chat, ids):
        await chat.look()
        chats[chat.user_id] = chat.from_bot()
    rows = await pool.fetch("SELECT telegram_id, account FROM accounts WHERE telegram_id = ANY ($1)", ids)
    accounts = {row[0]: row[1] for row in rows}
    names = list(accounts.values())
    states = {name: await watch.log.account(name) for name in names}
    projected = await pool.fetch("SELECT account, balance FROM balances WHERE account = ANY ($1)", names)
    orders = await pool.fetch(
        "SELECT draft, chat_id, jobs, message_id FROM drafts WHERE ordered AND chat_id = ANY ($1)", ids
    )
    deliveries = await pool.fetch("SELECT job, kind, state, message_id, last_error FROM deliveries")
    taken = await sandbox.faults_taken()
    return Evidence(
        customers=customers,
        accounts=accounts,
        orders=[Order(order, chat, tuple(jobs), message) for order, chat, jobs, message in orders],
        events=[event async for event in watch.log.scan()],
        tasks=await sandbox.tasks(),
        chats=chats,
        deliveries=[Delivery(*row) for row in deliveries],
        lost=_spoilt(taken, LOST_ANSWERS, SENDS, screens),
        unanswered=_spoilt(taken, UNANSWERED, SENDS, screens),
        blocked=set(_spoilt(taken, ("blocked",), (*SENDS, "editMessageText", "editMessageCaption"), screens)),
        # Who has only come, or whose opening a restore has lost, has no account in the log.
        logged={name: state.balance for name, state in states.items() if state.opened},
        projected={row[0]: row[1] for row in projected},
        findings=[*await check_ledger(pool), *await _stream_findings(watch)],
        left_open=left_open,
    )


async def _stream_findings(watch: LogWatch) -> list[Finding]:
    report = await check_streams(watch.redis, watch.pool)
    words = [f"{report.behind} events are not published"] if report.behind else []
    words += await watch.pending()
    return [*report.problems, *(Finding("streams", None, text) for text in words)]


def _spoilt(
    taken: list[dict[str, Any]], faults: Collection[str], calls: Collection[str], screens: Collection[str]
) -> Counter[int]:
    return Counter(
        int(fault["context"]["chat"])
        for fault in taken
        if fault["api"] == "telegram"
        and fault["call"] in calls
        and fault["fault"] in faults
        and fault["context"].get("text") not in screens
    )


def tell(evidence: Evidence, job: str) -> str:
    """One job for people: its events with times, the provider's tasks, the messages owed and the chat."""
    order = next((order for order in evidence.orders if job in order.jobs), None)
    where = f" of order {order.order}, chat {order.chat}" if order else ""
    lines = [f"job {job}{where}", timeline(evidence.stories()[job])]
    lines += [
        f"    task {task.task} of submission {task.submission}: {task.state}"
        for task in evidence.tasks
        if task.job == job
    ]
    lines += [f"    delivery {row}" for row in evidence.deliveries if row.job == job]
    for message in evidence.chats[order.chat] if order else ():
        words = " ".join(_words(message).split())
        lines.append(f"    {message['date']} message {message['message_id']}: {words[:110]}")
    return "\n".join(lines)


def _words(message: Message | None) -> str:
    return str(message.get("text") or message.get("caption") or "") if message else ""


def _failure_class(story: list[Recorded]) -> str | None:
    failed = [event for row in story if isinstance(event := decode(row), JobFailed)]
    return failed[0].failure.error_class if failed else None


def _jobs(evidence: Evidence) -> list[str]:
    return [job for order in evidence.orders for job in order.jobs]
