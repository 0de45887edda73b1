"""The auditor finds what is wrong: each promise is broken on purpose."""

from collections import Counter
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from events.envelope import Recorded
from services.rehearsal.sandbox_control import TaskSeen
from services.rehearsal.seller import AGAIN
from tests.support.arena.evidence import Delivered, Evidence
from tests.support.arena.sellers import Order, Seller
from tests.support.arena.verdict import judge
from tests.support.desk import Desk

MADE, FAILED = "j-made", "j-failed"
CHAT = 7


def message(number: int, at_s: float) -> dict[str, object]:
    button = {"text": "again", "callback_data": f"{AGAIN}o"}
    keyboard = {"inline_keyboard": [[button]]}
    return {"message_id": number, "date": int(at_s), "text": "the end", "reply_markup": keyboard}


def evidence() -> Evidence:
    """An order of two videos: one is made, one fails and is refunded."""
    desk = Desk()
    desk.open("a", 5)
    desk.order("a", "o", MADE, FAILED)
    for job in (MADE, FAILED):
        desk.submit(job)
    desk.succeed(MADE)
    desk.fail("a", FAILED)
    seller = Seller("a", CHAT, 5)
    at_s = desk.now_us / 1e6
    status = {"message_id": 1, "date": int(at_s), "text": "Your order is finished"}
    return Evidence(
        sellers=[seller],
        orders=[Order("o", seller, (MADE, FAILED), 1)],
        events=desk.events,
        tasks=[TaskSeen(f"task-{job}", job, 1, "success") for job in (MADE, FAILED)],
        chats={CHAT: [status, message(2, at_s), message(3, at_s)]},
        deliveries=[Delivered(MADE, "video", "sent", 2), Delivered(FAILED, "failure", "sent", 3)],
        lost=Counter(),
        unanswered=Counter(),
        blocked=set(),
        told={"a": 4},
        projected={"a": 4},
        problems=[],
        left_open=[],
    )


def without(given: Evidence, kind: str, job: str) -> list[Recorded]:
    return [row for row in given.events if row.type != kind or job not in f"{row.stream} {row.data}"]


def twice(given: Evidence, kind: str) -> list[Recorded]:
    return given.events + [row for row in given.events if row.type == kind]


BREAKS: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "no outcome": (lambda e: replace(e, events=without(e, "JobSucceeded", MADE)), "0 videos and 0 failures"),
    "no refund": (lambda e: replace(e, events=without(e, "CreditsRefunded", FAILED)), "0 refunds"),
    "two refunds": (lambda e: replace(e, events=twice(e, "CreditsRefunded")), "2 refunds"),
    "two videos": (lambda e: replace(e, events=twice(e, "JobSucceeded")), "2 videos"),
    "charged twice": (lambda e: replace(e, events=twice(e, "CreditsCharged")), "charged 2 times"),
    "asked twice": (lambda e: replace(e, tasks=[*e.tasks, e.tasks[0]]), "made 2 tasks"),
    "unannounced": (
        lambda e: replace(e, tasks=[*e.tasks, TaskSeen("t", MADE, 2, "open")]),
        "1 tasks of submission 2",
    ),
    "a double": (
        lambda e: replace(e, chats={CHAT: [*e.chats[CHAT], message(4, e.chats[CHAT][0]["date"])]}),
        "1 final messages too many",
    ),
    "a message that is not there": (
        lambda e: replace(e, chats={CHAT: e.chats[CHAT][:-1]}),
        "sent were [2, 3]",
    ),
    "nothing owed": (lambda e: replace(e, deliveries=e.deliveries[:1]), "owed are [] instead of ['failure']"),
    "never sent": (
        lambda e: replace(e, deliveries=[e.deliveries[0], Delivered(FAILED, "failure", "failed", None, "?")]),
        "the failure is failed",
    ),
    "the ledger's balance": (lambda e: replace(e, told={"a": 5}), "has 4"),
    "the projection's balance": (lambda e: replace(e, projected={"a": 3}), "has 4"),
    "told too late": (
        lambda e: replace(e, chats={CHAT: [*e.chats[CHAT][:-1], message(3, e.deadline_s(MADE) + 99)]}),
        "its message came 99.0 s after",
    ),
    "broken chain": (lambda e: replace(e, problems=["chain at 3: hash"]), "chain at 3"),
    "left open": (lambda e: replace(e, left_open=["job x is still open"]), "job x"),
}


def test_nothing_is_wrong() -> None:
    assert judge(evidence()) == []


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_found(broken: str) -> None:
    spoil, words = BREAKS[broken]
    problems = judge(spoil(evidence()))
    assert any(words in problem.what for problem in problems), problems


def test_a_double_is_allowed_for_each_lost_answer_only() -> None:
    given = evidence()
    given.chats[CHAT].append(message(4, given.chats[CHAT][0]["date"]))
    assert judge(replace(given, lost=Counter({CHAT: 1}))) == []
    assert judge(given, notifier_died=True) == []
    given.chats[CHAT].append(message(5, given.chats[CHAT][0]["date"]))
    assert judge(replace(given, lost=Counter({CHAT: 1}))) != []


def test_what_stays_unknown_twice_is_told_by_the_status_message() -> None:
    given = evidence()
    given.deliveries[1] = Delivered(FAILED, "failure", "failed", None, "sent twice without an answer")
    given.chats[CHAT].pop()
    assert judge(replace(given, unanswered=Counter({CHAT: 2}))) == []
    given.chats[CHAT][0]["text"] = "Your order"
    assert judge(replace(given, unanswered=Counter({CHAT: 2}))) != []
