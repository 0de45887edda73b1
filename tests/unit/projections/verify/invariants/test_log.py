"""The rules are silent on a right history and finds each way a history can be wrong."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from events.account import (
    ChangeApproved,
    ChangeProposed,
    ChangeWithdrawn,
    CreditsCharged,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
)
from events.codec import Event
from events.envelope import Recorded
from events.job import DeadLetterDropped, Failure, JobFailed, JobRequeued, JobSucceeded, VideoGifted
from projections.verify.event_fields import READ, Row
from projections.verify.findings import Findings, Problem
from projections.verify.invariants.jobs import job_stream_of, judge
from projections.verify.invariants.log import Rules
from tests.support.each import each
from tests.support.event_samples import (
    ACCOUNT,
    TIMED_OUT,
    VIDEO,
    account_with,
    drawn,
    failed,
    ordered,
    queued,
)
from tests.support.history import History, rehashed


def charged(job: str, amount: int) -> CreditsCharged:
    return CreditsCharged(job, "o", amount, drawn(amount))


def refunded(job: str, amount: int) -> CreditsRefunded:
    return CreditsRefunded(job, amount, "timeout", drawn(amount))


FAILED = ("job-j", JobFailed("worker", TIMED_OUT))
SUCCEEDED = ("job-j", JobSucceeded(1, 1, VIDEO))
GIFT = ("job-j", VideoGifted(1, VIDEO))
AGAIN = ("job-j", JobRequeued("k", 0, "mended", "login:op"))
FREE = ("job-k", replace(queued(order="k", price=0), requeue_of="j"))
ABOUT_JOBS = ("CreditsCharged", "CreditsRefunded")
REFUND = (ACCOUNT, refunded("j", 1))


def as_row(e: Recorded) -> Row:
    """What the rules are given of an event."""
    data = e.data if e.type in READ else None
    return e.position, e.stream, e.version, e.type, e.command_events, e.recorded_at_us, data


def audited(events: list[Recorded]) -> tuple[list[Problem], set[str]]:
    """What the rules find, and the jobs that have not ended."""
    findings = Findings()
    rules = Rules(findings)
    rows = [as_row(event) for event in events]
    rules.add(rows)
    for late in rules.late:
        job = job_stream_of(late)
        about = [r for r in rows if r[0] <= late[0] and (r[1] == job or r[3] in ABOUT_JOBS)]
        rules.jobs.spent += judge(findings, late, [r for r in about if job_stream_of(r) == job])
    rules.finish()
    return findings.problems, {
        stream.removeprefix("job-") for stream, job in rules.jobs.by_stream.items() if not job.outcome
    }


def history_with(*commands: tuple[Any, ...]) -> History:
    """An account with 5 credits and the job `j` of price 1, then these commands."""
    history = History()
    account_with(history, 5)
    ordered(history, "j")
    for command in commands:
        history.record(*command)
    return history


def test_a_right_history_has_no_problems_and_tells_what_is_unfinished():
    history = history_with()
    ordered(history, "k", "l", "m", order="p")
    failed(history, "k")
    history.record(("job-k", VideoGifted(1, VIDEO)))
    history.record(("job-l", JobSucceeded(1, 1, VIDEO)))
    below_zero = CreditsRevoked(9, "chargeback", parts=drawn(2))  # which a revocation may
    history.record((ACCOUNT, below_zero))

    assert audited(history.events) == ([], {"j", "m"})


PROPOSED = (ACCOUNT, ChangeProposed("c", "grant", 900, "x", "user:u1", 2**60))
APPROVED = (ACCOUNT, ChangeApproved("c", "y", "user:u2"))
GIVEN = CreditsGranted(900, "manual", "x", 2, actor="user:u1")


def test_an_approval_brings_what_was_proposed():
    taking = (ACCOUNT, ChangeProposed("d", "revoke", 2, "x", "user:u1", 2**60, money="owed"))
    taken = (ACCOUNT, CreditsRevoked(2, "x", parts=drawn(2), actor="user:u1", money="owed"))
    history = history_with((PROPOSED,), (taking,), ((ACCOUNT, ChangeApproved("d", "y", "user:u1")), taken),
                           (APPROVED, (ACCOUNT, GIVEN)))  # fmt: skip
    assert audited(history.events) == ([], {"j"})


@each(
    "commands, words",
    [
        ([(APPROVED, (ACCOUNT, GIVEN))], "nothing of that name was proposed"),
        ([(PROPOSED,), (APPROVED, (ACCOUNT, replace(GIVEN, amount=901)))], "not what was proposed as c"),
        ([(PROPOSED,), (APPROVED, (ACCOUNT, replace(GIVEN, actor="user:u2")))], "not what was proposed as c"),
        ([(PROPOSED,), (APPROVED, (ACCOUNT, replace(GIVEN, expires_at_us=2**61)))], "not what was proposed"),
        (
            [(PROPOSED,), (APPROVED, (ACCOUNT, CreditsRevoked(900, "x", parts=drawn(4), actor="user:u1")))],
            "not what was proposed as c",
        ),
        ([(PROPOSED,), (APPROVED,)], "change c was approved and not made"),
        ([(PROPOSED,), (APPROVED,), ((ACCOUNT, GIVEN),)], "brought no change"),
        (
            [(PROPOSED,), (APPROVED, (ACCOUNT, GIVEN)), (APPROVED, (ACCOUNT, replace(GIVEN, lot=3)))],
            "settled before",
        ),
        (
            [(PROPOSED,), ((ACCOUNT, ChangeWithdrawn("c", "z", "user:u1")),), (APPROVED, (ACCOUNT, GIVEN))],
            "settled before",
        ),
        (
            [((ACCOUNT, replace(PROPOSED[1], ends_at_us=1)),), (APPROVED, (ACCOUNT, GIVEN))],
            "the proposal had ended",
        ),
    ],
)
def test_an_approval_that_is_none_is_found(commands: list[Any], words: str):
    (problem,) = [found for found in audited(history_with(*commands).events)[0] if found.kind == "approval"]
    assert words in problem.message


@each("end", [("job-k", JobSucceeded(1, 1, VIDEO)), ("job-k", JobFailed("worker", TIMED_OUT))])
def test_a_failed_job_may_be_made_again_for_free(end: tuple[str, Event]):
    dropped = ("job-j", DeadLetterDropped("seen", "login:op"))
    gift = [] if isinstance(end[1], JobSucceeded) else [(("job-k", VideoGifted(1, VIDEO)),)]
    history = history_with((FAILED, REFUND), (dropped,), (AGAIN, FREE), (end,), *gift)
    assert audited(history.events) == ([], set())


@each(
    ("history", "kind"),
    [
        (lambda: history_with((FAILED, REFUND), (FREE,)), "charge"),
        (lambda: history_with((FAILED, REFUND), (AGAIN, FREE), (("job-k", FREE[1]),)), "charge"),
        (lambda: history_with((FAILED, REFUND), (AGAIN, ("job-k", queued(order="k", price=0)))), "charge"),
        (lambda: history_with((FAILED, REFUND), (AGAIN, ("job-l", FREE[1]))), "charge"),
        (lambda: history_with((FAILED, REFUND), (AGAIN, ("job-k", queued(order="k")))), "charge"),
        (
            lambda: history_with(
                (FAILED, REFUND),
                (AGAIN, FREE),
                (
                    ("job-k", JobFailed("worker", TIMED_OUT)),
                    (ACCOUNT, refunded("k", 1)),
                ),
            ),
            "outcome",
        ),
        (lambda: history_with((SUCCEEDED,), (SUCCEEDED,)), "outcome"),
        (lambda: history_with((SUCCEEDED,), (FAILED, REFUND)), "outcome"),
        (lambda: history_with((FAILED,)), "outcome"),
        (lambda: history_with((FAILED, REFUND), (REFUND,)), "outcome"),
        (lambda: history_with((SUCCEEDED, REFUND)), "outcome"),
        (lambda: history_with((REFUND,)), "outcome"),
        (lambda: history_with((GIFT,)), "outcome"),
        (lambda: history_with((FAILED, REFUND), (GIFT,), (GIFT,)), "outcome"),
        (lambda: history_with((FAILED, (ACCOUNT, refunded("j", 2)))), "outcome"),
        (
            lambda: history_with((FAILED, ("account-b", refunded("j", 1)))),
            "outcome",
        ),
        (lambda: history_with(((ACCOUNT, refunded("x", 1)),)), "outcome"),
        (lambda: history_with(((ACCOUNT, charged("j", 1)),)), "charge"),
        (lambda: history_with(((ACCOUNT, charged("k", 1)),)), "charge"),
        (lambda: history_with((("job-k", queued()),)), "charge"),
        (lambda: history_with((("job-j", queued()),)), "charge"),
        (
            lambda: history_with(((ACCOUNT, charged("k", 1)), ("job-k", queued(price=2)))),
            "charge",
        ),
        (
            lambda: history_with(((ACCOUNT, charged("k", 5)), ("job-k", queued(price=5)))),
            "overdraft",
        ),
    ],
)
def test_a_wrong_history_is_found(history: Callable[[], History], kind: str):
    problems, _ = audited(history().events)
    assert kind in {problem.kind for problem in problems}


def test_a_charge_after_a_revocation_below_zero_is_an_overdraft():
    history = history_with(((ACCOUNT, CreditsRevoked(9, "chargeback", parts=drawn(4))),))
    ordered(history, "k")
    problems, _ = audited(history.events)
    assert [(p.kind, p.position) for p in problems] == [("overdraft", 7), ("lots", 7)]


@each("failed_as", [Failure("transient", "shown: Anna Petrova"), Failure("timeout", ref="+7 916 123-45-67")])
def test_a_sentence_where_a_code_should_be_is_found(failed_as: Failure):
    problems, _ = audited(history_with((("job-j", JobFailed("worker", failed_as)), REFUND)).events)
    assert [(p.kind, p.position) for p in problems] == [("unreadable", 6)]


@each(
    ("tamper", "kind"),
    [
        (lambda events: events[:1] + events[2:], "sequence"),
        (lambda events: [*events[:1], events[2], events[1], *events[3:]], "sequence"),
        (lambda events: rehashed(events[:1] + events[2:]), "stream"),
        (lambda events: rehashed(events[:-1]), "command"),
        (lambda events: rehashed([replace(e, recorded_at_us=-e.recorded_at_us) for e in events]), "command"),
        (
            lambda events: rehashed([*events[:3], replace(events[3], command_events=None), *events[4:]]),
            "command",
        ),
        (lambda events: rehashed([*events[:-1], replace(events[-1], type="Unheard")]), "unreadable"),
        (lambda events: rehashed([*events[:-1], replace(events[-1], data="{}")]), "unreadable"),
    ],
)
def test_tampering_is_found(tamper: Callable[[list[Recorded]], list[Recorded]], kind: str):
    problems, _ = audited(tamper(history_with().events))
    assert kind in {problem.kind for problem in problems}


def test_the_list_of_problems_ends():
    history = History()
    for _ in range(300):
        history.record((ACCOUNT, CreditsGranted(1, "bonus", "x", 1)))
    problems, _ = audited([replace(e, version=7) for e in history.events])
    assert len(problems) == 100
