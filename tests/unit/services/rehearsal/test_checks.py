"""The demo's own checks find what they are for."""

import pytest

from events.codec import Event, encode
from events.envelope import Recorded
from events.job import Failure, SubmissionFailed, SubmissionIntended, Video, VideoGifted
from events.stream_names import job_stream
from projections.verify.findings import KINDS
from services.rehearsal.sandbox_control import TaskSeen
from services.rehearsal.scenarios import Cycle, Scenario
from services.rehearsal.verdict import LEDGER_CHECKS, messages, submissions

FAILURE = Failure("transient", "500", "Internal Error")


def log(*events: tuple[str, Event]) -> list[Recorded]:
    return [
        Recorded(
            position, job_stream(job), position, type(event).__name__, encode(event), None, None, None, 0, b""
        )
        for position, (job, event) in enumerate(events, 1)
    ]


def intended(number: int) -> SubmissionIntended:
    return SubmissionIntended(1, number, "k", "m")


def test_a_retry_after_a_failure_is_fine() -> None:
    events = log(("j", intended(1)), ("j", SubmissionFailed(1, 1, FAILURE)), ("j", intended(2)))
    tasks = [TaskSeen("t1", "j", 1, "fail"), TaskSeen("t2", "j", 2, "success")]
    assert submissions(events, tasks) == []


@pytest.mark.parametrize(
    ("events", "tasks", "found"),
    [
        (log(("j", intended(1)), ("j", intended(2))), [], "submission 2 while [1] is open"),
        (
            log(("j", intended(1))),
            [TaskSeen("t1", "j", 1, "success"), TaskSeen("t2", "j", 1, "success")],
            "2 tasks of submission 1",
        ),
        (log(), [TaskSeen("t1", "j", 1, "success")], "submission 1 reached the provider unannounced"),
    ],
)
def test_a_double_submission_is_found(events: list[Recorded], tasks: list[TaskSeen], found: str) -> None:
    (problem,) = submissions(events, tasks)
    assert found in problem


@pytest.mark.parametrize(
    ("videos", "refusals", "good"), [(1, 0, True), (0, 1, True), (2, 0, False), (0, 0, False)]
)
def test_a_missing_and_a_second_message_are_found(videos: int, refusals: int, good: bool) -> None:
    cycle = Cycle(1, Scenario(name="s", injected=""), 1, "p", jobs=["j"], videos=videos, refusals=refusals)
    assert (messages([cycle], log()) == []) is good


def test_a_gift_is_a_second_message_that_must_come() -> None:
    gifted = log(("j", VideoGifted(1, Video("b", "0" * 64, 1))))
    cycle = Cycle(1, Scenario(name="s", injected=""), 1, "p", jobs=["j"], videos=1, refusals=1)
    assert messages([cycle], gifted) == []
    cycle.videos = 0
    assert messages([cycle], gifted) != []


def test_every_kind_of_damage_to_the_ledger_belongs_to_a_check():
    listed = [kind for kinds in LEDGER_CHECKS.values() for kind in kinds]
    of_others = {"streams", "file", "manifest"}
    assert sorted(listed) == sorted(set(KINDS) - of_others)
