"""The verdict finds what is wrong: each promise is broken on purpose, and its check says so."""

from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace

from events.codec import Event, encode
from events.envelope import Recorded
from events.job import Failure, SubmissionFailed, SubmissionIntended, Video, VideoGifted
from events.stream_names import job_stream
from ledger import commands as c
from projections.verify.findings import DATABASE_KINDS, Problem
from services.rehearsal.chat_client import TaskSeen
from services.rehearsal.seller import AGAIN
from services.rehearsal.verdict import CHECKS, Check, Customer, Delivery, Evidence, Order, judge
from tests.support.fake_clock_ledger import SECOND_US, START_US, FakeClockLedger

MADE, FAILED = "j-made", "j-failed"
CHAT = 7
DEADLINE_S = (START_US + 3 * SECOND_US) // SECOND_US + 900


def message(number: int, at_s: float) -> dict[str, object]:
    button = {"text": "again", "callback_data": f"{AGAIN}o:"}
    keyboard = {"inline_keyboard": [[button]]}
    return {"message_id": number, "date": int(at_s), "text": "the end", "reply_markup": keyboard}


def evidence() -> Evidence:
    """An order of two videos: one is made, one fails and is refunded."""
    desk = FakeClockLedger()
    desk.open("a", 5)
    desk.order("a", "o", MADE, FAILED)
    for job in (MADE, FAILED):
        desk.submit(job)
    desk.succeed(MADE)
    desk.fail("a", FAILED)
    at_s = desk.now_us / 1e6
    status = {"message_id": 1, "date": int(at_s), "text": "Your order is finished"}
    return Evidence(
        customers=[Customer(CHAT, 5, 4)],
        accounts={CHAT: "a"},
        orders=[Order("o", CHAT, (MADE, FAILED), 1)],
        events=desk.events,
        tasks=[TaskSeen(f"task-{job}", job, 1, "success") for job in (MADE, FAILED)],
        chats={CHAT: [status, message(2, at_s), message(3, at_s)]},
        deliveries=[Delivery(MADE, "video", "sent", 2), Delivery(FAILED, "failure", "sent", 3)],
        lost=Counter(),
        unanswered=Counter(),
        blocked=set(),
        logged={"a": 4},
        projected={"a": 4},
        findings=[],
        left_open=[],
    )


def problems(given: Evidence) -> dict[str, list[str]]:
    """What was found, by the check's name."""
    return {check.name: [*map(str, check.problems)] for check in judge(given) if check.problems}


def with_more(given: Evidence, *events: Event) -> Evidence:
    """More in the story of the job that was made."""
    more = [
        Recorded(
            900 + n, job_stream(MADE), 90 + n, type(e).__name__, encode(e), None, None, None, None, 0, b""
        )
        for n, e in enumerate(events)
    ]
    return replace(given, events=[*given.events, *more])


def without(given: Evidence, kind: str, job: str) -> list[Recorded]:
    return [row for row in given.events if row.type != kind or job not in f"{row.stream} {row.data}"]


def twice(given: Evidence, kind: str) -> list[Recorded]:
    return given.events + [row for row in given.events if row.type == kind]


FAILURE = Failure("transient", "500")
OUTCOME = "one charge, one outcome"
SUBMISSION = "no second submission without a failed first"
MESSAGE = "one final message per job"
TOLD = "each outcome was told"
BALANCES = "log, projection, chat and a plain count agree on balances"
BREAKS: dict[str, tuple[Callable[[Evidence], Evidence], str, str]] = {
    "no outcome": (
        lambda e: replace(e, events=without(e, "JobSucceeded", MADE)), OUTCOME, "0 videos and 0 failures",
    ),
    "no refund": (
        lambda e: replace(e, events=without(e, "CreditsRefunded", FAILED)), OUTCOME, "0 refunds",
    ),
    "two refunds": (lambda e: replace(e, events=twice(e, "CreditsRefunded")), OUTCOME, "2 refunds"),
    "two videos": (lambda e: replace(e, events=twice(e, "JobSucceeded")), OUTCOME, "2 videos"),
    "charged twice": (lambda e: replace(e, events=twice(e, "CreditsCharged")), OUTCOME, "charged 2 times"),
    "a gift of what was made": (
        lambda e: with_more(e, VideoGifted(1, Video("b", "0" * 64, 1))), OUTCOME, "1 gifts after None",
    ),
    "asked twice": (lambda e: replace(e, tasks=[*e.tasks, e.tasks[0]]), SUBMISSION, "made 2 tasks"),
    "unannounced": (
        lambda e: replace(e, tasks=[*e.tasks, TaskSeen("t", MADE, 2, "open")]),
        SUBMISSION, "submission 2 reached the provider unannounced",
    ),
    "of nobody's job": (
        lambda e: replace(e, tasks=[*e.tasks, TaskSeen("t", "j-x", 1, "open")]), SUBMISSION, "unannounced",
    ),
    "announced while one was open": (
        lambda e: with_more(e, SubmissionIntended(1, 2, "k", "m")),
        SUBMISSION, "submission 2 while [1] was open",
    ),
    "a double": (
        lambda e: replace(e, chats={CHAT: [*e.chats[CHAT], message(4, e.chats[CHAT][0]["date"])]}),
        MESSAGE, "1 final messages too many",
    ),
    "a message that is not there": (
        lambda e: replace(e, chats={CHAT: e.chats[CHAT][:-1]}), MESSAGE, "sent were [2, 3]",
    ),
    "one message for two jobs": (
        lambda e: replace(e, chats={CHAT: e.chats[CHAT][:-1]}), MESSAGE, "1 final messages of order o, not 2",
    ),
    "nothing owed": (
        lambda e: replace(e, deliveries=e.deliveries[:1]), TOLD, "owed are [] instead of ['failure']",
    ),
    "never sent": (
        lambda e: replace(e, deliveries=[e.deliveries[0], Delivery(FAILED, "failure", "failed", None, "?")]),
        TOLD, "the failure is failed",
    ),
    "the ledger's balance": (lambda e: replace(e, logged={"a": 5}), BALANCES, "log 5, projection 4"),
    "the projection's balance": (lambda e: replace(e, projected={"a": 3}), BALANCES, "projection 3"),
    "the chat's balance": (
        lambda e: replace(e, customers=[Customer(CHAT, 5, 5)]), BALANCES, "projection 4, chat 5",
    ),
    "given twice": (
        lambda e: replace(e, customers=[Customer(CHAT, 3, 4)]), BALANCES, "chat 4, given and used 2",
    ),
    "told too late": (
        lambda e: replace(e, chats={CHAT: [*e.chats[CHAT][:-1], message(3, DEADLINE_S + 99)]}),
        "nobody waited longer than promised", "its message came 99.0 s after",
    ),
    "left open": (
        lambda e: replace(e, left_open=["job x is still open"]), "everything came to rest", "job x",
    ),
}  # fmt: skip


def test_nothing_is_wrong() -> None:
    assert judge(evidence()) == [Check(name, []) for name in CHECKS]


def test_what_is_broken_is_found_by_the_check_that_is_for_it() -> None:
    for name, (spoil, check, words) in BREAKS.items():
        found = problems(spoil(evidence())).get(check, [])
        assert any(words in what for what in found), f"{name}: {found}"


def test_every_finding_of_the_ledger_and_of_the_streams_belongs_to_a_check() -> None:
    for kind in (*DATABASE_KINDS, "streams"):  # not those of files, which nobody plays with
        found = problems(replace(evidence(), findings=[Problem(kind, 3, "oh")]))
        assert [*found.values()] == [["oh (position 3)"]], kind
        (check,) = found
        assert kind in CHECKS[check].kinds


def test_a_retry_after_a_failure_is_fine() -> None:
    given = with_more(evidence(), SubmissionFailed(1, 1, FAILURE), SubmissionIntended(1, 2, "k", "m"))
    assert problems(replace(given, tasks=[*given.tasks, TaskSeen("t2", MADE, 2, "success")])) == {}


def test_a_gift_after_a_timeout_is_a_second_message_that_must_come() -> None:
    desk = FakeClockLedger()
    desk.open("a", 5)
    desk.order("a", "o", MADE)
    desk.submit(MADE)
    desk.do(c.FailJob(MADE, "a", "operator", Failure("timeout")))
    desk.do(c.SucceedJob(MADE, 1, 1, Video("b", "0" * 64, 1)))
    at_s = desk.now_us / 1e6
    given = replace(
        evidence(), customers=[Customer(CHAT, 5, 5)], orders=[Order("o", CHAT, (MADE,), 1)],
        events=desk.events, logged={"a": 5}, projected={"a": 5}, tasks=[],
        deliveries=[Delivery(MADE, "failure", "sent", 2), Delivery(MADE, "gift", "sent", 3)],
        chats={CHAT: [message(2, at_s), message(3, at_s)]},
    )  # fmt: skip
    assert problems(given) == {}
    given.chats[CHAT].pop()
    assert set(problems(given)) == {MESSAGE}


def test_a_double_is_allowed_for_each_lost_answer_only() -> None:
    given = evidence()
    given.chats[CHAT].append(message(4, given.chats[CHAT][0]["date"]))
    assert problems(replace(given, lost=Counter({CHAT: 1}))) == {}
    assert problems(replace(given, may_double=True)) == {}
    given.chats[CHAT].append(message(5, given.chats[CHAT][0]["date"]))
    assert problems(replace(given, lost=Counter({CHAT: 1}))) != {}


def test_what_stays_unknown_twice_is_told_by_the_status_message() -> None:
    given = evidence()
    given.deliveries[1] = Delivery(FAILED, "failure", "failed", None, "sent twice without an answer")
    given.chats[CHAT].pop()
    assert problems(replace(given, unanswered=Counter({CHAT: 2}))) == {}
    given.chats[CHAT][0]["text"] = "Your order"
    assert problems(replace(given, unanswered=Counter({CHAT: 2}))) != {}
