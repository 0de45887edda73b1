"""The demo's own checks find what they are for."""

import pytest

from events.codec import Event, encode
from events.envelope import Recorded
from events.job import Failure, SubmissionFailed, SubmissionIntended
from events.streams import job_stream
from services.cli.demo.checks import submissions
from services.cli.demo.sandbox import TaskSeen

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
