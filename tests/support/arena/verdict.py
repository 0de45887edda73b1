"""What must be true after every scenario. Pure: evidence in, problems out, each with the job it is about.

1. One outcome: every charged job has a video or one refund; both only as a gift after a timeout.
2. No double submission: the provider made one task per announced submission at most, and was not asked
   again before the first was known to have failed.
3. No double message: one final message per job (two with a gift). One more only where a send is known to
   have happened without an answer.
4. Balances: a plain count of credits given and videos made is what ledger and projection say.
5. The log: chain, rules, books, read models (what `neurocards ledger verify` checks), streams, and nothing
   pending in the group.
6. Nobody waited: outcome and message within the deadline plus GRACE_S.
7. Nothing is left open: no job, no message owed, no reader behind.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from events.codec import decode
from events.job import SubmissionFailed, SubmissionIntended
from events.stream_names import job_of
from services.rehearsal.chat_client import Message, buttons_of
from services.rehearsal.seller import AGAIN
from tests.support.arena.evidence import Delivered, Evidence
from tests.support.arena.sellers import Order

GRACE_S: Final = 60.0
"""What is promised after a deadline."""
FINISHED: Final = "Your order is finished"
ENDINGS: Final = ("JobSucceeded", "JobFailed")


class Problem(msgspec.Struct, frozen=True):
    """`job` is empty when it is about none in particular."""

    job: str
    what: str


def judge(evidence: Evidence, *, notifier_died: bool = False) -> list[Problem]:
    """All that is wrong. `notifier_died`: a send may have been cut off by the end of its sender."""
    return [
        *(Problem("", what) for what in evidence.left_open),
        *_outcomes(evidence),
        *_submissions(evidence),
        *_messages(evidence, notifier_died),
        *_balances(evidence),
        *(Problem("", what) for what in evidence.problems),
        *_waits(evidence),
    ]


def _outcomes(evidence: Evidence) -> Iterator[Problem]:
    refunds = Counter(_word(row.data, "job") for row in evidence.events if row.type == "CreditsRefunded")
    charges = Counter(_word(row.data, "job") for row in evidence.events if row.type == "CreditsCharged")
    for job in _jobs(evidence):
        seen = Counter(row.type for row in evidence.story(job))
        if charges[job] != 1:
            yield Problem(job, f"charged {charges[job]} times")
        if sum(seen[ending] for ending in ENDINGS) != 1:
            yield Problem(job, f"{seen['JobSucceeded']} videos and {seen['JobFailed']} failures")
        if refunds[job] != seen["JobFailed"]:
            yield Problem(job, f"{seen['JobFailed']} failures and {refunds[job]} refunds")
        if seen["VideoGifted"] and (seen["VideoGifted"] > 1 or evidence.failure_class(job) != "timeout"):
            yield Problem(job, f"{seen['VideoGifted']} gifts after {evidence.failure_class(job)}")


def _submissions(evidence: Evidence) -> Iterator[Problem]:
    made = Counter((task.job, task.submission) for task in evidence.tasks)
    for job in _jobs(evidence):
        intended: set[int] = set()
        failed: set[int] = set()
        for row in evidence.story(job):
            event = decode(row)
            if isinstance(event, SubmissionIntended):
                if intended - failed:
                    yield Problem(job, f"submission {event.submission} while {intended - failed} was open")
                intended.add(event.submission)
            elif isinstance(event, SubmissionFailed):
                failed.add(event.submission)
        for (of, number), count in made.items():
            if of == job and (count > 1 or number not in intended):
                yield Problem(job, f"the provider made {count} tasks of submission {number}, of {intended}")


def _messages(evidence: Evidence, notifier_died: bool) -> Iterator[Problem]:
    extra: Counter[int] = Counter()
    for order in evidence.orders:
        chat = order.seller.chat
        finals = {message["message_id"] for message in evidence.chats[chat] if _ends(message, order)}
        owed = [row for row in evidence.deliveries if row.job in order.jobs]
        sent = [row.message_id for row in owed if row.state == "sent"]
        if len(set(sent)) != len(sent) or not finals.issuperset(sent):
            yield Problem(order.jobs[0], f"sent were {sent}, the chat has {sorted(finals)}")
        extra[chat] += len(finals) - len(sent)
        yield from _owed(evidence, order, owed)
    for chat, count in extra.items():
        if count > evidence.lost[chat] and not notifier_died:
            job = next(order.jobs[0] for order in evidence.orders if order.seller.chat == chat)
            lost = evidence.lost[chat]
            yield Problem(job, f"{count} final messages too many in chat {chat}, {lost} answers were lost")


def _owed(evidence: Evidence, order: Order, owed: list[Delivered]) -> Iterator[Problem]:
    """Each outcome owes one message; what could not be sent for certain is told by the status message."""
    kinds = {"JobSucceeded": "video", "JobFailed": "failure", "VideoGifted": "gift"}
    chat = order.seller.chat
    for job in order.jobs:
        expected = sorted(kinds[row.type] for row in evidence.story(job) if row.type in kinds)
        found = sorted(row.kind for row in owed if row.job == job)
        if expected != found:
            yield Problem(job, f"owed are {found} instead of {expected}")
    for row in owed:
        status = _message(evidence, chat, order.status_message)
        told = evidence.unanswered[chat] >= 2 and status is not None and FINISHED in status["text"]
        if row.state != "sent" and chat not in evidence.blocked and not told:
            yield Problem(row.job, f"the {row.kind} is {row.state}: {row.last_error}")


def _ends(message: Message, order: Order) -> bool:
    """Whether it is the last word on one of the order's jobs."""
    return any(button.data == AGAIN + order.order for button in buttons_of(message))


def _balances(evidence: Evidence) -> Iterator[Problem]:
    for seller in evidence.sellers:
        jobs = {job for order in evidence.orders if order.seller == seller for job in order.jobs}
        made = sum(row.type == "JobSucceeded" and job_of(row.stream) in jobs for row in evidence.events)
        plain = seller.credits - made
        found = (evidence.told.get(seller.account), evidence.projected.get(seller.account))
        if found != (plain, plain):
            yield Problem("", f"account {seller.account} has {plain}; ledger and projection say {found}")


def _waits(evidence: Evidence) -> Iterator[Problem]:
    for order in evidence.orders:
        for job in order.jobs:
            limit_s = evidence.deadline_s(job) + GRACE_S
            ended = [row.recorded_at_us / 1e6 for row in evidence.story(job) if row.type in ENDINGS]
            rows = [row for row in evidence.deliveries if row.job == job and row.kind != "gift"]
            shown = [_message(evidence, order.seller.chat, row.message_id) for row in rows]
            told = [float(message["date"]) for message in shown if message is not None]
            for what, times in (("its outcome", ended), ("its message", told)):
                if times and max(times) > limit_s:
                    late_s = max(times) - limit_s + GRACE_S
                    yield Problem(job, f"{what} came {late_s:.1f} s after the deadline")


def _message(evidence: Evidence, chat: int, message_id: int | None) -> Message | None:
    return next((m for m in evidence.chats[chat] if m["message_id"] == message_id), None)


def _jobs(evidence: Evidence) -> list[str]:
    return [job for order in evidence.orders for job in order.jobs]


def _word(data: str, name: str) -> str:
    return str(msgspec.json.decode(data).get(name))
